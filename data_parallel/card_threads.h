// A thread for each card, alive as long as training: work runs on all cards side by
// side.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "data_parallel/patience.h"
#include "device/card.h"

namespace lockstep::data_parallel {

class CardThreads {
 public:
  explicit CardThreads(const std::vector<Card>& cards);
  ~CardThreads();

  // Runs work(0) .. work(count-1), each on its card's thread and in its CardScope, and
  // returns when all are done. Card 0's runs on the calling thread. What they allocate
  // counts as activations. Autograd's thread-local state (grad mode, profiler) is the
  // caller's. The first error, in the order of cards, comes out naming replica and
  // card, after all others have ended.
  void run(size_t count, const std::function<void(size_t card)>& work);

  // Inside a run, on another card's thread: waits for the end of work(card), card > 0.
  // False: it failed, which run() will tell.
  bool await(size_t card) const;

  const Patience& patience() const { return patience_; }

 private:
  class Worker;
  std::vector<Card> cards_;
  Patience patience_;
  std::vector<std::unique_ptr<Worker>> workers_;  // of cards 1 and up
};

}  // namespace lockstep::data_parallel
