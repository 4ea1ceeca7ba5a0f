// What the ranks' clocks show beside each other. Each rank asks rank 0 for the time and
// measures how long the answer takes: it was given some time in between, so half of
// that is the most that the middle can be wrong by (Cristian, "Probabilistic Clock
// Synchronization", 1989). The quickest of some tens of questions counts.
//
// Not a synchronisation: no clock is set, and one that runs faster than rank 0's is
// followed from a measurement before training to one after it, as if its pace were
// even.
#pragma once

#include <c10/core/Device.h>

#include <functional>

#include "comm/process_group.h"
#include "timing/bucket_times.h"

namespace lockstep::timing {

// Microseconds, from anywhere.
using OwnClock = std::function<double()>;
double steady_us();

struct ClockReading {
  double own_us = 0;  // when, on the rank's own clock
  ClockOffset offset;
};

// Collective: rank 0's clock beside this rank's; messages are tensors on `device`.
ClockReading read_clocks(comm::ProcessGroup& group, c10::Device device,
                         const OwnClock& clock = &steady_us, int rounds = 30);

// From one reading to the other, and beyond them.
class AlignedClock {
 public:
  AlignedClock(const ClockReading& before, const ClockReading& after)
      : before_(before), after_(after) {}

  // What rank 0's clock shows when this rank's shows `own_us`. Never runs backwards.
  double of_rank_0(double own_us) const;
  // Between the two readings. The drift's part of it is in the steps' times, and not
  // here.
  ClockOffset offset() const;

 private:
  ClockReading before_, after_;
};

}  // namespace lockstep::timing
