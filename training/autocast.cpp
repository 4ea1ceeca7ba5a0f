#include "training/autocast.h"

#include <ATen/autocast_mode.h>

namespace lockstep::training {

// After torch/amp/autocast_mode.py.
AutocastScope::AutocastScope(c10::DeviceType device) : device_(device) {
  at::autocast::set_autocast_dtype(device_, at::kBFloat16);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

AutocastScope::~AutocastScope() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, false);
}

}  // namespace lockstep::training
