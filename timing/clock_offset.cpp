#include "timing/clock_offset.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>

namespace lockstep::timing {

double steady_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// All ranks ask at once, by collectives that every backend has. The all_reduce is over
// on rank 0 after every rank has asked, and the broadcast that follows carries what
// rank 0's clock shows then.
ClockReading read_clocks(comm::ProcessGroup& group, c10::Device device,
                         const OwnClock& clock, int rounds) {
  const bool answers = group.rank() == 0;
  const at::TensorOptions options = at::TensorOptions(at::kDouble).device(device);
  const at::Tensor question = at::zeros({1}, options);
  ClockReading best;
  for (int round = 0; round < rounds; ++round) {
    const double asked = clock();
    group.all_reduce(question).wait();
    if (device.is_cuda()) question.cpu();  // a wait is its queue's, not ours
    const at::Tensor answer = at::full({1}, answers ? clock() : 0, options);
    group.broadcast({answer});
    const double time = answer.item<double>();
    const double heard = clock();
    const double uncertainty = (heard - asked) / 2;
    if (round > 0 && uncertainty >= best.offset.uncertainty_us) continue;
    const double middle = asked + uncertainty;
    best = {middle, {time - middle, uncertainty}};
  }
  if (answers) best.offset = {};
  return best;
}

double AlignedClock::of_rank_0(double own_us) const {
  const double between = after_.own_us - before_.own_us;
  const double before = before_.offset.offset_us, after = after_.offset.offset_us;
  if (between <= 0) return own_us + before;
  // Two readings close to each other may differ by more than the time between.
  const double drift = std::max((after - before) / between, -0.5);
  return own_us + before + drift * (own_us - before_.own_us);
}

ClockOffset AlignedClock::offset() const {
  return {(before_.offset.offset_us + after_.offset.offset_us) / 2,
          std::max(before_.offset.uncertainty_us, after_.offset.uncertainty_us)};
}

}  // namespace lockstep::timing
