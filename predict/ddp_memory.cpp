// One card, and a rank of DDP, which is one card with its gradients elsewhere.
#include "predict/card_replay.h"
#include "predict/memory.h"

namespace lockstep::predict {
namespace {

constexpr Part kParts[] = {Part::before,   Part::data,     Part::zero_grad,
                           Part::forward,  Part::loss,     Part::loss_backward,
                           Part::backward, Part::optimizer};

}  // namespace

CardPeak single_peak(const StepMemory& step, int64_t local_batch) {
  CardReplay card;
  for (const Part part : kParts) card.change(step.part(part, local_batch));
  return card.peak();
}

CardPeak ddp_peak(const StepMemory& step, DdpGradients gradients, int64_t local_batch) {
  if (gradients == DdpGradients::in_place) return single_peak(step, local_batch);
  const std::string kGradients = "gradients";
  CardReplay rank;
  if (gradients != DdpGradients::sharded) {
    for (const int64_t bytes : step.gradients()) rank.change("buckets", bytes);
  }
  for (const Part part : kParts) {
    for (const auto& [category, bytes] : step.part(part, local_batch)) {
      // None is left from the step before, and so none to forget.
      const bool old = part == Part::before || part == Part::zero_grad;
      if (*category == kGradients && old) continue;
      rank.change(*category, bytes);
      if (*category == kGradients && gradients == DdpGradients::buckets && bytes > 0) {
        rank.change(kGradients, -bytes);
      }
    }
    if (part == Part::backward) rank.change(kGradients, -rank.live(kGradients));
  }
  return rank.peak();
}

}  // namespace lockstep::predict
