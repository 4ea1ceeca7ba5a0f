// A card's work, recorded once and replayed as a whole: a CUDA graph. One launch takes
// the place of the hundreds that a step is made of, which is what small steps wait for.
// The work is replayed on the memory that it was recorded on.
//
// What may be recorded, and when: training/train_step.h.
#pragma once

#include <memory>

#include "device/card.h"

namespace lockstep::device {

class Graph {
 public:
  virtual ~Graph() = default;

  // From here to end(), what this thread and the backward passes that it starts give to
  // the card's current stream is recorded, not done. Throws c10::Error where something
  // among it cannot be recorded, as a copy to the host; then the graph is of no use.
  virtual void begin() = 0;
  virtual void end() = 0;

  // Queues the recorded work on the current stream.
  virtual void replay() = 0;
};

// Of a card that is the calling thread's (CardScope) and has a stream of its own
// (Card::use_own_stream). Throws std::runtime_error where there is no CUDA module.
std::unique_ptr<Graph> make_cuda_graph();

}  // namespace lockstep::device
