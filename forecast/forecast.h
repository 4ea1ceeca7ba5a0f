// `bench predict`: profiles a model on one card, and tells what many cards would do.
#pragma once

#include <string>
#include <vector>

#include "forecast/answers.h"
#include "forecast/command_line.h"

namespace lockstep::forecast {

// Prints the answer; the exit status. Throws CLI::ParseError, std::invalid_argument,
// std::runtime_error; Stopped.
int run(const std::vector<std::string>& arguments);

// What was asked and what came out.
struct Forecast {
  std::vector<Point> points;
  // Peak bytes of a card, by cards as in `points`: DDP's, and of DataParallel the
  // primary one's. Absent where the profiles tell nothing.
  std::vector<std::optional<int64_t>> ddp_bytes, primary_bytes;
  BestCap best_cap;  // with the most cards
  std::optional<int> stops_helping;
  std::optional<int64_t> batch_for_90;  // with the most cards
};

// For people, and for programs.
std::string text_of(const Line& line, const Forecast& forecast);
std::string json_of(const Line& line, const Forecast& forecast);

// The largest batch that is tried for an efficiency.
inline constexpr int64_t kMostBatch = 1 << 16;

}  // namespace lockstep::forecast
