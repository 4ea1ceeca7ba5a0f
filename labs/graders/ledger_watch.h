// What a stretch of code does to the cards' memory: what stays on each, the most that
// was there meanwhile, and each piece that arrives.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

#include "device/card.h"
#include "device/memory_ledger.h"

namespace lockstep::labs {

class LedgerWatch {
 public:
  // Watches until its end. One at a time, and the cards are 0 .. count-1.
  explicit LedgerWatch(const std::vector<Card>& cards) : on_cards_(cards.size()) {
    for (size_t card = 0; card < cards.size(); ++card) {
      device::listen(static_cast<int>(card), on_cards_[card]);
    }
  }
  ~LedgerWatch() {
    for (size_t card = 0; card < on_cards_.size(); ++card) {
      device::stop_listening(static_cast<int>(card));
    }
  }
  LedgerWatch(const LedgerWatch&) = delete;
  LedgerWatch& operator=(const LedgerWatch&) = delete;

  // Bytes since it began: what is there now beyond what was, and the most of it.
  int64_t grown(size_t card) const { return on_cards_[card].grown; }
  int64_t peak(size_t card) const { return on_cards_[card].peak; }
  // The bytes of each allocation on that card, in order.
  const std::vector<int64_t>& arrivals(size_t card) const {
    return on_cards_[card].arrivals;
  }

 private:
  struct OnCard final : device::LedgerListener {
    void begins(const device::CardBytes& /*bytes*/) override {}
    void changed(device::Category /*category*/, int64_t bytes) override {
      if (bytes > 0) arrivals.push_back(bytes);
      grown += bytes;
      peak = std::max(peak, grown);
    }
    int64_t grown = 0;
    int64_t peak = 0;
    std::vector<int64_t> arrivals;
  };
  std::deque<OnCard> on_cards_;
};

}  // namespace lockstep::labs
