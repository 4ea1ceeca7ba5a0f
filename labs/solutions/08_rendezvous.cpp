// Lab 8: rendezvous and rank arithmetic, written out.
#include <numeric>
#include <stdexcept>
#include <string>

#include "labs/rendezvous.h"

namespace {

using namespace lockstep::labs;

bool has(const Told& told, const std::string& name) {
  return told.environment.count(name) > 0;
}
std::string text(const Told& told, const std::string& name) {
  return has(told, name) ? told.environment.at(name) : "";
}
int number(const Told& told, const std::string& name) {
  if (!has(told, name)) throw std::invalid_argument(name + " is not set");
  return std::stoi(text(told, name));
}
bool is_launched(const Told& told) {
  return has(told, "RANK") || has(told, "WORLD_SIZE");
}

void check_below(const std::string& name, int value, int bound) {
  if (value >= 0 && value < bound) return;
  throw std::invalid_argument(name + " " + std::to_string(value) +
                              ": must be 0 to below " + std::to_string(bound));
}

Ranks ranks(const Told& told) {
  if (is_launched(told)) {
    const Ranks launched = {number(told, "RANK"), number(told, "WORLD_SIZE"),
                            number(told, "LOCAL_RANK")};
    check_below("RANK", launched.rank, launched.world_size);
    return launched;
  }
  check_below("node rank", told.node_rank, static_cast<int>(told.gpus.size()));
  const auto node = told.gpus.begin() + told.node_rank;
  check_below("local rank", told.local_rank, *node);
  const int before = std::accumulate(told.gpus.begin(), node, 0);
  const int all = std::accumulate(node, told.gpus.end(), before);
  return {before + told.local_rank, all, told.local_rank};
}

Meeting meeting(const Told& told) {
  Meeting place = {told.master_addr, told.master_port, ranks(told).rank == 0};
  if (has(told, "MASTER_ADDR")) place.host = text(told, "MASTER_ADDR");
  if (has(told, "MASTER_PORT")) place.port = number(told, "MASTER_PORT");
  if (text(told, "TORCHELASTIC_USE_AGENT_STORE") == "True") place.hosts_store = false;
  if (place.host.empty()) {
    if (told.gpus.size() > 1) {
      throw std::invalid_argument(std::to_string(told.gpus.size()) +
                                  " nodes have no address to meet at");
    }
    place.host = "127.0.0.1";
  }
  if (place.port == 0) place.port = 29500;
  return place;
}

Share share(const Told& told) {
  const Ranks self = ranks(told);
  if (told.global_batch % self.world_size != 0) {
    throw std::invalid_argument("global batch " + std::to_string(told.global_batch) +
                                " does not divide by world size " +
                                std::to_string(self.world_size));
  }
  return {told.global_batch / self.world_size, self.rank, self.world_size,
          self.rank == 0};
}

const Registered student(rendezvous(), "student", [] {
  return Rendezvous{&ranks, &meeting, &share};
});

}  // namespace
