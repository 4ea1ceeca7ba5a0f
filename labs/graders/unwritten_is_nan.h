// While it lives, memory that at::empty() gives is NaN (LibTorch fills it, where it is
// to be deterministic): who sends what he has not written is seen to, in every run.
#pragma once

#include <ATen/Context.h>

namespace lockstep::labs {

class UnwrittenIsNaN {
 public:
  UnwrittenIsNaN() { at::globalContext().setDeterministicAlgorithms(true, true); }
  ~UnwrittenIsNaN() { at::globalContext().setDeterministicAlgorithms(false, false); }
  UnwrittenIsNaN(const UnwrittenIsNaN&) = delete;
  UnwrittenIsNaN& operator=(const UnwrittenIsNaN&) = delete;
};

}  // namespace lockstep::labs
