#include "training/progress.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <limits>

namespace lockstep::training {

Progress::Progress(const TrainOptions& options)
    : epochs_(options.epochs),
      steps_(options.steps),
      terminal_(isatty(STDERR_FILENO) == 1),
      shown_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (line_open_) std::fputc('\n', stderr);
}

void Progress::after_step(int64_t step, int64_t epoch, double loss, int64_t samples,
                          double step_ms) {
  // Often enough to look alive, seldom enough to cost nothing.
  const auto every = terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10);
  const auto now = std::chrono::steady_clock::now();
  const bool last = terminal_ && step + 1 == steps_;
  if (now - shown_ < every && !last) return;
  shown_ = now;
  const auto unlimited = std::numeric_limits<int64_t>::max();
  if (terminal_) std::fputs("\r\033[K", stderr);
  std::fprintf(stderr, "epoch %" PRId64, epoch + 1);
  if (epochs_ != unlimited) std::fprintf(stderr, "/%" PRId64, epochs_);
  std::fprintf(stderr, "  step %" PRId64, step + 1);
  if (steps_ != unlimited) std::fprintf(stderr, "/%" PRId64, steps_);
  std::fprintf(stderr, "  loss %.4f  %.0f samples/s this rank", loss,
               1000.0 * static_cast<double>(samples) / step_ms);
  if (!terminal_) std::fputc('\n', stderr);
  line_open_ = terminal_;
  std::fflush(stderr);
}

}  // namespace lockstep::training
