// Ranks, and what they send each other: chapters 4 and 5.
#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "cells/program_output.h"
#include "cells/quantity.h"
#include "rows/row.h"

namespace lockstep::cells {
namespace {

// The picture of the job says "rank 6 (local rank 2)" in the line of "node 1:".
MeasuredCase rank(int nodes, int gpus, int node_rank, int local_rank) {
  const std::string picture = output_of(
      "bin/multinode", {"-n", std::to_string(nodes), "-g", std::to_string(gpus), "-nr",
                        std::to_string(node_rank), "--master-addr", "10.1.1.20",
                        "--master-port", "29500", "--dry-run"});
  const size_t node = picture.find("node " + std::to_string(node_rank) + ":");
  const size_t local =
      picture.find(" (local rank " + std::to_string(local_rank) + ")", node);
  if (node == std::string::npos || local == std::string::npos) {
    throw std::runtime_error("multinode --dry-run drew another picture: " + picture);
  }
  const size_t number = picture.rfind(' ', local - 1) + 1;
  return {std::to_string(nodes) + " nodes of " + std::to_string(gpus) + " cards",
          {{"nodes", nodes},
           {"gpus", gpus},
           {"node_rank", node_rank},
           {"local_rank", local_rank}},
          std::stod(picture.substr(number, local - number))};
}

MeasuredCase ring(int ranks, int bytes) {
  return {std::to_string(ranks) + " ranks, " + std::to_string(bytes) + " bytes",
          {{"ranks", ranks}, {"bytes", bytes}},
          std::stod(output_of("labs/ring_bytes",
                              {std::to_string(ranks), std::to_string(bytes)}))};
}

}  // namespace

std::vector<MeasuredCase> global_rank() { return {rank(2, 2, 1, 0), rank(3, 4, 2, 3)}; }

std::vector<MeasuredCase> ring_bytes() { return {ring(2, 840), ring(5, 6720)}; }

std::vector<MeasuredCase> step_over_a_cable() {
  constexpr double kGradients = 23298088;  // mlp-wide's, in fp32
  constexpr double kLatency = 0.03,
                   kEthernet = 0.94 / 8;  // ms; what TCP leaves, as bytes
  const std::string kept =
      file_of_tree("reports/results/amd-epyc-2-cores-forecasts-2026-11-22.jsonl");
  std::vector<double> alone;
  std::map<std::pair<std::string, int>, std::vector<double>> steps;
  for (const rows::Row& row : rows::read_rows(kept)) {
    const auto link = row.options.find("link");
    const bool on_a_cable = link != row.options.end() && !link->second.empty();
    if (row.model != "mlp-wide" || row.status != "ok") continue;
    const double step = rows::percentile_ms(row, 50).value_or(0);
    if (row.mode == "single") alone.push_back(step);
    if (row.mode == "ddp" && on_a_cable) {
      steps[{link->second, row.cards}].push_back(step);
    }
  }
  const std::map<std::string, double> mbit = {
      {"100mbit", 100}, {"300mbit", 300}, {"1gbit", 1000}};
  std::vector<MeasuredCase> cases;
  for (const auto& [where, measured] : steps) {
    const auto& [link, cards] = where;
    cases.push_back({link + ", " + std::to_string(cards) + " cards on 2 cores",
                     {{"one_card_ms", rows::median(alone)},
                      {"gradients", kGradients},
                      {"cards", cards},
                      {"latency_ms", kLatency},
                      {"bytes_a_ms", mbit.at(link) * 1000 * kEthernet}},
                     rows::median(measured)});
  }
  return cases;
}

}  // namespace lockstep::cells
