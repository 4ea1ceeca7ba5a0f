// One card's memory as a step goes by: what is live, and the most that was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "predict/memory.h"

namespace lockstep::predict {

class CardReplay {
 public:
  // Negative: freed.
  void change(const std::string& category, int64_t bytes);
  void change(const std::vector<StepMemory::Change>& changes);
  // Freed as soon as it was there: it only counts while it is.
  void pass_by(const std::string& category, int64_t bytes);

  int64_t live(const std::string& category) const;
  const CardPeak& peak() const { return peak_; }

 private:
  CardPeak live_;
  CardPeak peak_;
};

}  // namespace lockstep::predict
