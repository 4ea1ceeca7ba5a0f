#include "device/mark.h"

#include <c10/core/impl/VirtualGuardImpl.h>

namespace lockstep::device {

Mark::Mark(const Card& card) {
  if (card.emulated()) {
    time_ = std::chrono::steady_clock::now();
    return;
  }
  // BACKEND_DEFAULT is the kind that keeps the time.
  event_ = std::make_shared<c10::Event>(card.torch_device().type(),
                                        c10::EventFlag::BACKEND_DEFAULT);
  const c10::impl::VirtualGuardImpl guard(card.torch_device().type());
  event_->record(guard.getStream(card.torch_device()));
}

double Mark::ms_since(const Mark& earlier) const {
  if (event_ == nullptr) {
    return std::chrono::duration<double, std::milli>(time_ - earlier.time_).count();
  }
  event_->synchronize();
  return earlier.event_->elapsedTime(*event_);
}

}  // namespace lockstep::device
