// A moment in a card's work, for measuring. On the CPU it is the clock's; a CUDA card
// works behind its queue, and the moment is when its work comes to this point.
#pragma once

#include <c10/core/Event.h>

#include <chrono>
#include <memory>

#include "device/card.h"

namespace lockstep::device {

class Mark {
 public:
  // Now, on the CPU; after what the calling thread has queued so far, on CUDA.
  explicit Mark(const Card& card);

  // Milliseconds from `earlier`, a mark of the same card, to this. On CUDA it waits
  // until the card has come here.
  double ms_since(const Mark& earlier) const;

 private:
  std::chrono::steady_clock::time_point time_;
  std::shared_ptr<c10::Event> event_;  // CUDA alone
};

}  // namespace lockstep::device
