// How a card's thread waits for another: it looks for a moment, yielding its core,
// before it sleeps. A step of a small model is shorter than ten wake-ups.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "device/card.h"

namespace lockstep::data_parallel {

class Patience {
 public:
  // Looks longer where the cards share cores, for there the others get the core when it
  // yields.
  explicit Patience(const std::vector<Card>& cards) {
    const size_t threads = cards.size() * static_cast<size_t>(cards.front().threads());
    if (threads > std::thread::hardware_concurrency()) {
      lasts_ = std::chrono::microseconds(2000);
    }
  }

  // Until `value` is `wanted`. Whoever changes it notifies.
  template <typename T>
  void await(const std::atomic<T>& value, T wanted) const {
    const auto since = std::chrono::steady_clock::now();
    for (T now = value.load(); now != wanted; now = value.load()) {
      if (std::chrono::steady_clock::now() - since > lasts_) {
        value.wait(now);
        continue;
      }
      for (int i = 0; i < 16 && value.load() != wanted; ++i) std::this_thread::yield();
    }
  }

 private:
  std::chrono::microseconds lasts_{300};
};

}  // namespace lockstep::data_parallel
