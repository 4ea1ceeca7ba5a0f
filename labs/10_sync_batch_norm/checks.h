// A batch that lies on simulated ranks: what the student's layer makes of it there, and
// what LibTorch's makes of all its rows on one card, in double.
#pragma once

#include <string>
#include <vector>

#include "grading/check.h"
#include "labs/sync_batch_norm.h"

namespace lockstep::labs {

struct BatchPlan {
  uint64_t seed = 0;
  std::vector<int64_t> rows;  // of each rank
  int64_t height = 2, width = 3;
  at::ScalarType type = at::kDouble;
  double far = 0;  // of means from 0; deviations are about 1

  int ranks() const { return static_cast<int>(rows.size()); }
  std::string text() const;  // "3 ranks with 5, 0 and 2 rows: "
};
inline constexpr int64_t kChannels = 3;

// Tensors of the plan's type.
struct SeenRank {
  at::Tensor x, dy;
  BatchNormLayer layer;  // a rank's own, as it leaves it
  at::Tensor y;
  BatchNormGradients gradients;
  std::vector<int64_t> forward_sums, backward_sums;  // elements of each
};

// All of it in double.
struct OneCard {
  at::Tensor x, dy;
  double count = 0;  // values of a channel
  at::Tensor mean, variance, normalised;
  at::Tensor y, dx;
  BatchNormLayer layer;

  // What belongs to that rank.
  at::Tensor rows(const at::Tensor& of_all, const BatchPlan& plan, int rank) const;
};

enum class Passes : uint8_t { forward, both };

// The ranks before anything happened, and the passes on all of them. Ranks that wait
// for ever, or call what the others do not, are refused as `if_stuck`.
std::vector<SeenRank> drawn(const BatchPlan& plan);
std::vector<SeenRank> seen(const BatchPlan& plan, Passes passes,
                           const std::string& if_stuck = "not_every_rank");
OneCard one_card(const BatchPlan& plan);

// [channels] beside images; and each channel's sum and mean over them.
at::Tensor wide(const at::Tensor& of_channels);
at::Tensor channel_sums(const at::Tensor& x);
at::Tensor channel_means(const at::Tensor& x);

// By norms, in double, of tensors of one shape.
bool close(const at::Tensor& a, const at::Tensor& b, double bar = 1e-10);
// "element 3 is 2, not one card's 1".
std::string where_they_differ(const at::Tensor& found, const at::Tensor& wanted);

grading::Misconception misconception(const std::string& id);
[[noreturn]] void refuse(const std::string& misconception_id, const std::string& saw);

// ddp::train() of a small net in which the student's layer stands twice.
void check_training(uint64_t seed);

}  // namespace lockstep::labs
