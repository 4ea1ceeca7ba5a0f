// Keeps LibTorch's log quiet while ranks meet. A peer that has gone, or never came, it
// tells with a stack of calls, twenty lines and more before the one that says it; and
// that one is in the exception as well. Warnings of later, TORCH_WARN's among them, are
// heard: they come through the same log.
#pragma once

namespace lockstep::comm {

class QuietLog {
 public:
  // Does nothing where the user sets TORCH_CPP_LOG_LEVEL. Ranks that are threads share
  // the log: it speaks again when the last of them is done.
  QuietLog();
  ~QuietLog();
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;
};

}  // namespace lockstep::comm
