// A thread for each card, alive as long as training: work runs on all cards side by
// side.
//
// Who has nothing to do looks for work for a moment, yielding its core, before it
// sleeps: a step of a small model is shorter than ten wake-ups.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "device/card.h"

namespace lockstep::data_parallel {

class CardThreads {
 public:
  explicit CardThreads(const std::vector<Card>& cards);
  ~CardThreads();

  // Runs work(0) .. work(count-1), each on its card's thread and in its CardScope, and
  // returns when all are done. Card 0's runs on the calling thread. `stage` is a
  // literal, the name in a trace and in memory over time (device/stage.h). What they
  // allocate counts as activations. Autograd's thread-local state (grad mode, profiler)
  // is the caller's. The first error, in the order of cards, comes out naming replica
  // and card, after all others have ended.
  void run(const char* stage, size_t count,
           const std::function<void(size_t card)>& work);

 private:
  class Worker;
  std::vector<Card> cards_;
  std::vector<std::unique_ptr<Worker>> workers_;  // of cards 1 and up
};

}  // namespace lockstep::data_parallel
