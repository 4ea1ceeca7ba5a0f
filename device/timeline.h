// Cards' memory over time: every change of their ledgers while a recording lasts, so
// that the sum of a card's events up to any of them is what was live then.
//
// A CUDA card's events bear the host's time, at which a block was handed out: the work
// that fills it comes later in the card's queue.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "device/memory_ledger.h"

namespace lockstep::device {

struct MemoryEvent {
  double ms = 0;  // since the recording began
  Category category = Category::other;
  int64_t bytes = 0;  // charged; negative: credited
  // What the thread that did it was at (stage.h): a literal. "before": live when the
  // recording began; "none": no stage.
  const char* stage = "none";
};

// In the ledger's order. A change of category is two events, the bytes' leaving first.
// Where a stage begins (StageScope) an event of 0 bytes says so.
struct CardEvents {
  int card = 0;
  std::vector<MemoryEvent> events;
};

class TimelineRecording {
 public:
  // Records these cards from here on. Throws std::logic_error where one of them is
  // being recorded already.
  explicit TimelineRecording(const std::vector<int>& cards);
  ~TimelineRecording();
  TimelineRecording(const TimelineRecording&) = delete;
  TimelineRecording& operator=(const TimelineRecording&) = delete;

  // Ends the recording; what it held, in the order in which the cards were named.
  std::vector<CardEvents> take();

 private:
  class Listener;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace lockstep::device
