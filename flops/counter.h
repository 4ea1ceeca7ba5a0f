// Counts floating-point operations while it lives: those of the thread that made it,
// and of threads that work under its state (autograd's, DataParallel's cards). LibTorch
// shows it every operator that is called, which costs a microsecond each; once it is
// gone there is nothing left of it.
#pragma once

#include <ATen/record_function.h>

#include <cstdint>
#include <memory>

namespace lockstep::flops {

// Made and ended on one thread. What is ended in between must have begun in between: a
// profiler's recording.
class Counter {
 public:
  Counter();
  ~Counter();
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  int64_t flops() const;  // so far

 private:
  struct Total;
  std::shared_ptr<Total> total_;
  at::CallbackHandle handle_;
};

}  // namespace lockstep::flops
