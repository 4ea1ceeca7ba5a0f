#include "bench/ratios.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

namespace lockstep::bench {
namespace {

using rows::Row;

using Pair = std::pair<std::string, std::string>;

const std::vector<Pair> kPairs = {
    {"single", "single-python"},   {"ddp", "ddp-python"},
    {"ddp", "ddp-c10d"},           {"ddp", "bound"},
    {"ddp-sharded", "ddp-python"}, {"ddp-sharded", "ddp-c10d"},
    {"ddp-sharded", "bound"},      {"dp", "dp-libtorch"},
    {"dp", "dp-python"},
};

// Every way of DataParallel over the bound, and over the first of them.
std::vector<Pair> pairs_of(const std::vector<Row>& rows) {
  std::vector<Pair> pairs = kPairs;
  std::vector<std::string> ways;
  for (const Row& row : rows) {
    const bool peer = row.mode == "dp-libtorch" || row.mode == "dp-python";
    const bool dp = !peer && rows::is_data_parallel(row.mode);
    if (!dp || std::find(ways.begin(), ways.end(), row.mode) != ways.end()) continue;
    ways.push_back(row.mode);
    pairs.emplace_back(row.mode, "bound");
    if (ways.size() > 1) pairs.emplace_back(row.mode, ways.front());
  }
  return pairs;
}

// Throughput by repetition.
using Speeds = std::map<int, double>;

Speeds speeds_of(const std::vector<Row>& rows, const std::string& model,
                 const std::string& mode, int cards) {
  Speeds speeds;
  for (const Row& row : rows) {
    if (row.status != "ok" || row.model != model || row.mode != mode) continue;
    if (row.cards != cards) continue;
    const auto speed = rows::samples_per_second(row);
    if (speed.has_value()) speeds[row.repetition] = *speed;
  }
  return speeds;
}

// Models as they come, each with its numbers of cards from the smallest.
std::vector<std::pair<std::string, int>> points_of(const std::vector<Row>& rows) {
  std::vector<std::string> models;
  std::vector<std::pair<std::string, int>> points;
  for (const Row& row : rows) {
    const auto seen = std::find(models.begin(), models.end(), row.model);
    if (seen == models.end()) models.push_back(row.model);
    const std::pair<std::string, int> point = {row.model, row.cards};
    if (std::find(points.begin(), points.end(), point) == points.end())
      points.push_back(point);
  }
  const auto place = [&](const std::pair<std::string, int>& point) {
    return std::make_pair(std::find(models.begin(), models.end(), point.first),
                          point.second);
  };
  std::sort(points.begin(), points.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return points;
}

}  // namespace

std::vector<Ratio> ratios_of(const std::vector<Row>& rows) {
  std::vector<Ratio> ratios;
  for (const auto& [model, cards] : points_of(rows)) {
    for (const auto& [ours, peer] : pairs_of(rows)) {
      Ratio ratio{model, cards, ours, peer, {}};
      const Speeds peers = speeds_of(rows, model, peer, cards);
      for (const auto& [repetition, speed] : speeds_of(rows, model, ours, cards)) {
        const auto other = peers.find(repetition);
        if (other != peers.end()) ratio.of_repetitions.push_back(speed / other->second);
      }
      if (!ratio.of_repetitions.empty()) ratios.push_back(std::move(ratio));
    }
  }
  return ratios;
}

std::string ratio_table(const std::vector<Ratio>& ratios) {
  if (ratios.empty()) return "";
  std::string text =
      "\nratios         cards  ours / peer                 median  [lowest, highest]  "
      "repetitions\n";
  for (const Ratio& ratio : ratios) {
    const auto [lowest, highest] =
        std::minmax_element(ratio.of_repetitions.begin(), ratio.of_repetitions.end());
    char line[160];
    std::snprintf(line, sizeof(line), "%-14s %5d  %-26s %7.2f  [%.2f, %.2f] %11zu\n",
                  ratio.model.c_str(), ratio.cards,
                  (ratio.ours + " / " + ratio.peer).c_str(),
                  rows::median(ratio.of_repetitions), *lowest, *highest,
                  ratio.of_repetitions.size());
    text += line;
  }
  return text;
}

}  // namespace lockstep::bench
