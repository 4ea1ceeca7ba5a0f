#include "summary/ratios.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

namespace lockstep::summary {
namespace {

using rows::Row;

using Pair = std::pair<std::string, std::string>;

const std::vector<Pair> kPairs = {
    {"single", "single-python"},
    {"single", "single-python-compile"},
    {"ddp", "ddp-python"},
    {"ddp", "ddp-c10d"},
    {"ddp", "bound"},
    {"ddp-sharded", "ddp-python"},
    {"ddp-sharded", "ddp-c10d"},
    {"ddp-sharded", "bound"},
    {"dp", "dp-libtorch"},
    {"dp", "dp-python"},
    {"horovod", "ddp"},
    {"horovod", "bound"},
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

Speeds speeds_of(const std::vector<Row>& rows, const Row& like) {
  Speeds speeds;
  for (const Row& row : rows) {
    if (row.status != "ok" || row.name != like.name) continue;
    const auto speed = rows::samples_per_second(row);
    if (speed.has_value()) speeds[row.repetition] = *speed;
  }
  return speeds;
}

// A row of each case that has a number, by its model as they come, then cards.
std::vector<const Row*> cases_of(const std::vector<Row>& rows) {
  std::vector<std::string> models;
  std::vector<const Row*> cases;
  for (const Row& row : rows) {
    if (std::find(models.begin(), models.end(), row.model) == models.end()) {
      models.push_back(row.model);
    }
    const bool seen = std::any_of(cases.begin(), cases.end(), [&](const Row* one) {
      return one->name == row.name;
    });
    if (!seen && row.status == "ok") cases.push_back(&row);
  }
  const auto place = [&](const Row* row) {
    return std::make_pair(std::find(models.begin(), models.end(), row->model),
                          row->cards);
  };
  std::stable_sort(cases.begin(), cases.end(),
                   [&](const Row* a, const Row* b) { return place(a) < place(b); });
  return cases;
}

std::string option_of(const Row& row, const std::string& name) {
  const auto found = row.options.find(name);
  return found == row.options.end() ? "" : found->second;
}

bool comparable(const Row& ours, const Row& peer) {
  if (ours.cards != peer.cards || !rows::same_job(ours, peer)) return false;
  // The bound communicates over no link: it is every link's.
  if (peer.mode == "bound") return true;
  if (option_of(ours, "link") != option_of(peer, "link")) return false;
  // Other peers have a backend of their own, and that is the comparison.
  if (ours.mode == "horovod" &&
      option_of(ours, "backend") != option_of(peer, "backend")) {
    return false;
  }
  const std::string cap = "bucket-cap-mb";
  const auto a = ours.options.find(cap), b = peer.options.find(cap);
  return a == ours.options.end() || b == peer.options.end() || a->second == b->second;
}

}  // namespace

std::vector<Ratio> ratios_of(const std::vector<Row>& rows) {
  std::vector<Ratio> ratios;
  const std::vector<const Row*> cases = cases_of(rows);
  const auto compare = [&](const Row& ours, const Row& peer) {
    Ratio ratio{ours.model,
                ours.cards,
                ours.mode + rows::knobs_of(ours),
                peer.mode + rows::knobs_of(peer),
                {}};
    const Speeds peers = speeds_of(rows, peer);
    for (const auto& [repetition, speed] : speeds_of(rows, ours)) {
      const auto other = peers.find(repetition);
      if (other != peers.end()) ratio.of_repetitions.push_back(speed / other->second);
    }
    if (!ratio.of_repetitions.empty()) ratios.push_back(std::move(ratio));
  };
  for (auto first = cases.begin(); first != cases.end();) {
    const auto last = std::find_if(first, cases.end(), [&](const Row* one) {
      return one->model != (*first)->model || one->cards != (*first)->cards;
    });
    for (const auto& [ours, peer] : pairs_of(rows)) {
      for (auto one = first; one != last; ++one) {
        for (auto other = first; other != last && (*one)->mode == ours; ++other) {
          if ((*other)->mode == peer && comparable(**one, **other)) {
            compare(**one, **other);
          }
        }
      }
    }
    first = last;
  }
  return ratios;
}

std::string ratio_table(const std::vector<Ratio>& ratios) {
  if (ratios.empty()) return "";
  size_t width = 26;
  for (const Ratio& ratio : ratios) {
    width = std::max(width, (ratio.ours + " / " + ratio.peer).size());
  }
  std::string text = "\nratios         cards  ours / peer" +
                     std::string(width - 11, ' ') +
                     "  median  [lowest, highest]  repetitions\n";
  for (const Ratio& ratio : ratios) {
    const auto [lowest, highest] =
        std::minmax_element(ratio.of_repetitions.begin(), ratio.of_repetitions.end());
    char line[300];
    std::snprintf(line, sizeof(line), "%-14s %5d  %-*s %7.2f  [%.2f, %.2f] %11zu\n",
                  ratio.model.c_str(), ratio.cards, static_cast<int>(width),
                  (ratio.ours + " / " + ratio.peer).c_str(),
                  rows::median(ratio.of_repetitions), *lowest, *highest,
                  ratio.of_repetitions.size());
    text += line;
  }
  return text;
}

}  // namespace lockstep::summary
