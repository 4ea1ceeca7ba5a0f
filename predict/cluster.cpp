#include "predict/cluster.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>

namespace lockstep::predict {
namespace {

const std::map<std::string, Link>& links() {
  static const std::map<std::string, Link> known = {
      {"pcie", {5e-6, 25e9}},       // generation 4, 16 lanes
      {"nvlink", {3e-6, 250e9}},    // generation 3, of one card, one way
      {"1gbit", {30e-6, 0.117e9}},  // Ethernet, what TCP leaves of it
      {"10gbit", {20e-6, 1.17e9}},  // the same
      {"25gbit", {15e-6, 2.9e9}},   // the same
      {"100gbit", {5e-6, 11.8e9}},  // RDMA
      {"400gbit", {3e-6, 47e9}}};   // the same
  return known;
}

double message_s(const Link& link, double bytes) {
  return link.latency_s + bytes / link.bytes_per_s;
}

// "300mbit": as Ethernet of that rate.
std::optional<Link> ethernet(const std::string& name) {
  char unit = 0;
  int read = 0;
  double rate = 0;
  if (std::sscanf(name.c_str(), "%lf%cbit%n", &rate, &unit, &read) != 2 ||
      static_cast<size_t>(read) != name.size() || (unit != 'm' && unit != 'g') ||
      !(rate > 0 && rate <= 1e6)) {
    return std::nullopt;
  }
  constexpr double kLatency = 30e-6, kLeftByTcp = 0.94, kBitsAByte = 8;
  const double bits_per_s = rate * (unit == 'g' ? 1e9 : 1e6);
  return Link{kLatency, kLeftByTcp * bits_per_s / kBitsAByte};
}

}  // namespace

Link link_named(const std::string& name) {
  const auto found = links().find(name);
  if (found != links().end()) return found->second;
  if (const auto link = ethernet(name)) return *link;
  std::string known;
  for (const std::string& link : link_names()) {
    known += (known.empty() ? "" : ", ") + link;
  }
  throw std::invalid_argument("no link \"" + name + "\"; known are " + known +
                              ", and any number of gbit or mbit");
}

std::vector<std::string> link_names() {
  std::vector<std::string> names;
  for (const auto& [name, link] : links()) names.push_back(name);
  return names;
}

double all_reduce_s(const Cluster& cluster, int cards, double bytes) {
  if (cards < 2) return 0;
  Link slowest = cluster.inside;
  if (cards > cluster.cards_per_host) {
    // All of a host's links carry a part of every message.
    const Link between = {cluster.between.latency_s,
                          cluster.between.bytes_per_s * cluster.links_per_host};
    slowest = cluster.cards_per_host == 1
                  ? between
                  : Link{std::max(between.latency_s, slowest.latency_s),
                         std::min(between.bytes_per_s, slowest.bytes_per_s)};
  }
  const double ring = 2.0 * (cards - 1) * message_s(slowest, bytes / cards);
  const int levels = std::bit_width(static_cast<unsigned>(cards - 1));
  const double tree = 2.0 * (levels * slowest.latency_s + bytes / slowest.bytes_per_s);
  return cluster.call_s + std::min(ring, tree);
}

}  // namespace lockstep::predict
