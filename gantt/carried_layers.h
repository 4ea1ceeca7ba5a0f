// Whose gradients a collective carries, told by its size: reducers name no layers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulator/timed_net.h"

namespace lockstep::gantt {

// Asked for a card's collectives of a step one after the other.
class CarriedLayers {
 public:
  explicit CarriedLayers(const std::vector<simulator::TimedLayer>& layers)
      : layers_(layers), carried_(layers.size(), false) {}

  // "5", or "3 to 0" of layers side by side: those of so many elements that have not
  // travelled before; of several such the one beside what travelled last, or at an end
  // of the network. Empty where that does not tell, either.
  std::string next(int64_t elements);

 private:
  struct Run {
    int first = 0, last = 0;
  };
  std::vector<Run> runs_of(int64_t elements) const;
  bool goes_on(const Run& run) const;

  std::vector<simulator::TimedLayer> layers_;
  std::vector<bool> carried_;
  bool has_before_ = false;
  Run before_;
};

}  // namespace lockstep::gantt
