// The figures of `bench collectives --out`: one line of JSON a size, collective and
// algorithm. Read by what the lines are, without the room that writes them.
//
// Not here: the steps of training (row.h).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::charts {

struct CollectiveFigure {
  std::string collective;  // "all_reduce"; "memcpy": what copies alone reach
  std::string algorithm;
  std::string backend;
  int ranks = 1;
  int64_t bytes = 0;
  double time_us = 0;
  double busbw = 0;  // GB/s
  // Elements that came out wrong; empty where nobody looked.
  std::optional<int64_t> wrong;
};

// Throws std::runtime_error naming file, line and key. Blank lines are skipped.
std::vector<CollectiveFigure> read_collectives(const std::string& path);

// A curve a collective, algorithm, backend and number of ranks.
nlohmann::json busbw_data(const std::vector<CollectiveFigure>& figures);

}  // namespace lockstep::charts
