#include "labs/07_ring/diagnosis.h"

#include <ATen/ATen.h>

#include <cmath>

namespace lockstep::labs {

using grading::Misconception;

int times(double sum, int rank) {
  return static_cast<int>(std::fmod(std::floor(sum / std::pow(64, rank)), 64));
}

std::string list(const std::vector<int>& ranks) {
  std::string text;
  for (const int rank : ranks) {
    text += (text.empty() ? "ranks " : ", ") + std::to_string(rank);
    if (text.size() > 40) return text + " and more";
  }
  return text.empty() ? "no rank" : text;
}

Misconception diagnosis(const std::vector<at::Tensor>& results,
                        const Misconception& otherwise) {
  const int ranks = static_cast<int>(results.size());
  const double whole = (std::pow(64, ranks) - 1) / 63;
  bool untouched = true, means = true, twice = false, each_has_its_own = true;
  at::Tensor somewhere = at::zeros_like(results[0], at::kBool);
  for (int rank = 0; rank < ranks; ++rank) {
    const at::Tensor& result = results[static_cast<size_t>(rank)];
    untouched = untouched && result.eq(std::pow(64, rank)).all().item<bool>();
    means =
        means && result.sub(whole / ranks).abs().lt(1e-6 * whole).all().item<bool>();
    for (int r = 0; r < ranks; ++r) {
      twice =
          twice ||
          result.div(std::pow(64, r)).floor().remainder(64).gt(1).any().item<bool>();
    }
    const at::Tensor complete = result.eq(whole);
    each_has_its_own =
        each_has_its_own && !complete.logical_and(somewhere).any().item<bool>();
    somewhere.logical_or_(complete);
  }
  if (untouched) {
    return {"not_in_place", "the tensor that came in is where the sum must be",
            "3_ddp.md#the-ring"};
  }
  if (means) {
    return {"mean_for_sum",
            "an all-reduce adds up; who wants the mean divides the sum afterwards",
            "3_ddp.md#the-mean"};
  }
  if (twice) {
    return {"counted_twice", "finished pieces are copied on their way round, not added",
            "3_ddp.md#the-ring"};
  }
  if (each_has_its_own && somewhere.all().item<bool>()) {
    return {"no_all_gather",
            "after the first round each piece is whole on one rank only",
            "3_ddp.md#the-ring"};
  }
  return otherwise;
}

}  // namespace lockstep::labs
