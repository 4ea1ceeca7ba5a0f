// Mixed precision, as torch.autocast: while the scope lasts, matrix products and
// convolutions take their operands in bfloat16, and what needs the range (losses,
// sums) in fp32. Of the calling thread and of those that take over its state. What the
// casts of parameters were is kept until the scope ends.
#pragma once

#include <c10/core/Device.h>

namespace lockstep::training {

class AutocastScope {
 public:
  explicit AutocastScope(c10::DeviceType device);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  c10::DeviceType device_;
};

}  // namespace lockstep::training
