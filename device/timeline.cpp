#include "device/timeline.h"

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include "device/stage.h"

namespace lockstep::device {

using Clock = std::chrono::steady_clock;

class TimelineRecording::Listener final : public LedgerListener {
 public:
  Listener(int card, Clock::time_point begin) : begin_(begin) {
    recorded_.card = card;
    if (!listen(card, *this)) {
      throw std::logic_error("card " + std::to_string(card) +
                             " is being recorded already; end that recording first");
    }
  }
  ~Listener() override { stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void stop() {
    if (std::exchange(listens_, false)) stop_listening(recorded_.card);
  }
  CardEvents take() {
    stop();
    return std::move(recorded_);
  }

  void begins(const CardBytes& bytes) override {
    listens_ = true;
    for (size_t i = 0; i < bytes.live_by_category.size(); ++i) {
      const int64_t live = bytes.live_by_category[i];
      if (live == 0) continue;
      recorded_.events.push_back({0, static_cast<Category>(i), live, "before"});
    }
  }

  void changed(Category category, int64_t bytes) override {
    const std::chrono::duration<double, std::milli> since = Clock::now() - begin_;
    const char* stage = current_stage();
    recorded_.events.push_back(
        {since.count(), category, bytes, stage == nullptr ? "none" : stage});
  }

 private:
  const Clock::time_point begin_;
  bool listens_ = false;
  CardEvents recorded_;  // under the card's lock while it listens
};

TimelineRecording::TimelineRecording(const std::vector<int>& cards) {
  const Clock::time_point begin = Clock::now();
  for (const int card : cards) {
    listeners_.push_back(std::make_unique<Listener>(card, begin));
  }
}

TimelineRecording::~TimelineRecording() = default;

std::vector<CardEvents> TimelineRecording::take() {
  for (const auto& listener : listeners_) listener->stop();  // all at about one moment
  std::vector<CardEvents> all;
  for (const auto& listener : listeners_) all.push_back(listener->take());
  listeners_.clear();
  return all;
}

}  // namespace lockstep::device
