#include "program/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <string>

namespace lockstep::program {

using namespace training;
namespace {

std::string bar(int64_t done, int64_t all) {
  constexpr int64_t kWidth = 30;
  const int64_t filled = std::min(kWidth, kWidth * done / std::max<int64_t>(1, all));
  return "[" + std::string(static_cast<size_t>(filled), '#') +
         std::string(static_cast<size_t>(kWidth - filled), '.') + "]";
}

}  // namespace

Progress::Progress()
    : terminal_(isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      shown_(start_) {}

Progress::~Progress() {
  if (line_open_) std::fputc('\n', stderr);
}

void Progress::noted(const std::string& text) {
  std::fprintf(stderr, "%s%s\n", line_open_ ? "\r\033[K" : "", text.c_str());
  line_open_ = false;
}

void Progress::after_step(const StepEnd& end) {
  samples_ += end.samples;
  // Often enough to look alive, seldom enough to cost nothing.
  const auto every =
      terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10);
  const auto now = std::chrono::steady_clock::now();
  const bool last = terminal_ && end.step + 1 == steps_;
  if (now - shown_ < every && !last) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const std::string text =
      (terminal_ ? "\r\033[K" + bar(end.step + 1, steps_) + " " : "");
  std::fprintf(stderr, "%sstep %" PRId64 "/%" PRId64 "  epoch %" PRId64, text.c_str(),
               end.step + 1, steps_, end.epoch + 1);
  // Not there yet where it is still on the card.
  if (!std::isnan(end.loss)) std::fprintf(stderr, "  loss %.4f", end.loss);
  std::fprintf(stderr, "  %.0f samples/s a rank%s",
               static_cast<double>(samples_) / seconds, terminal_ ? "" : "\n");
  line_open_ = terminal_;
  std::fflush(stderr);
}

}  // namespace lockstep::program
