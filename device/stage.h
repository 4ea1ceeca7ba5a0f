// What a card is doing at the moment ("scatter", "forward"), by the name that its
// memory over time and a trace give to it. Every thread has its own.
#pragma once

#include <ATen/record_function.h>

namespace lockstep::device {

// A literal: it is kept as it is. Null before the first.
const char* current_stage();
void set_stage(const char* stage);  // of the calling thread, from here on

// The stage for as long as the scope lasts, and a range in the thread's lane of a trace
// where one is being made; then the stage before it again.
class StageScope {
 public:
  explicit StageScope(const char* stage);
  ~StageScope() { set_stage(before_); }
  StageScope(const StageScope&) = delete;
  StageScope& operator=(const StageScope&) = delete;

 private:
  const char* before_;
  at::RecordFunction range_;
};

}  // namespace lockstep::device
