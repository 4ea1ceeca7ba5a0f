// What serves one after the other, in the order of asking: a link, a copy engine, the
// queue of collectives. The resource of a discrete-event simulation.
#pragma once

#include <algorithm>

namespace lockstep::predict {

class QueueLine {
 public:
  // When it is done that could begin at `ready_s` and takes so long.
  double serve(double ready_s, double seconds) {
    free_s_ = std::max(free_s_, ready_s) + seconds;
    return free_s_;
  }

 private:
  double free_s_ = 0;  // from then on
};

}  // namespace lockstep::predict
