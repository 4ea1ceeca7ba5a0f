// Parameters of random sizes that ranks step together by update_shards(), beside the
// plain way in double: add up all ranks' gradients, divide, step. For tests alone.
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::shm {

class RandomUpdate {
 public:
  using Sizes = std::vector<int64_t>;
  // Where a tensor of these values is to lie: in the group's memory or not.
  using Place = std::function<at::Tensor(const at::Tensor& values)>;

  // The same on all ranks but for the place.
  RandomUpdate(comm::ProcessGroup& group, const Sizes& sizes, at::ScalarType type,
               bool momentum, Place place)
      : group_(group), type_(type), place_(std::move(place)) {
    for (const int64_t size : sizes) {
      expected_.push_back(values(0, size));
      momenta_.push_back(torch::zeros({size}, at::kDouble));
      update_.parameters.push_back(
          place_(expected_.back().to(type, /*non_blocking=*/false, /*copy=*/true)));
    }
    if (momentum) {
      update_.state =
          group.allocate(group.shard_elements(update_.parameters), type).zero_();
    }
    update_.step =
        type == at::kFloat ? step_of<float>(momentum) : step_of<double>(momentum);
  }

  // One step. The one before must have ended.
  comm::Work start() {
    ++steps_;
    update_.gradients.clear();
    gradients_.clear();
    for (size_t i = 0; i < expected_.size(); ++i) {
      gradients_.push_back(gradient(group_.rank(), i));
      update_.gradients.push_back(place_(gradients_.back().clone()));
      at::Tensor mean = torch::zeros_like(expected_[i]);
      for (int r = 0; r < group_.size(); ++r) mean += gradient(r, i);
      mean /= group_.size();
      if (update_.state.defined()) momenta_[i].mul_(kMomentum);
      momenta_[i] = update_.state.defined() ? momenta_[i] + mean : mean;
      expected_[i] -= kRate * momenta_[i];
    }
    return group_.update_shards(update_);
  }

  // After the step's wait().
  void check() const {
    for (size_t i = 0; i < expected_.size(); ++i) {
      const std::string which =
          "step " + std::to_string(steps_) + ", tensor " + std::to_string(i) + " of " +
          std::to_string(expected_.size()) + ", " + c10::toString(type_);
      const double bar = type_ == at::kFloat ? 1e-3 : 1e-10;
      const at::Tensor error = (update_.parameters[i].to(at::kDouble) - expected_[i]);
      EXPECT_TRUE(error.abs().le(bar).all().item<bool>()) << which;
      EXPECT_TRUE(update_.gradients[i].equal(gradients_[i])) << which << ", gradient";
    }
  }

  // All ranks at once, after the last step's wait().
  void expect_equal_on_all_ranks(int root) const {
    for (const at::Tensor& parameter : update_.parameters) {
      const at::Tensor roots = parameter.clone();
      group_.broadcast({roots}, root);
      EXPECT_TRUE(roots.equal(parameter)) << "not the bits of rank " << root;
    }
  }

 private:
  static constexpr double kMomentum = 0.5;
  static constexpr double kRate = 1.0 / 64;

  // Whole numbers that do not come again within a piece: what is taken from a wrong
  // place shows.
  static at::Tensor values(int64_t first, int64_t size) {
    return torch::arange(size, at::kDouble).mul(31).add(17 * first).remainder(1009);
  }
  at::Tensor gradient(int rank, size_t i) const {
    return values(1 + rank + 8 * steps_ + 3 * static_cast<int64_t>(i),
                  expected_[i].numel())
        .to(type_);
  }

  template <typename T>
  static std::function<void(void*, void*, void*, int64_t)> step_of(bool momentum) {
    return [momentum](void* mean, void* parameters, void* state, int64_t count) {
      auto* step = static_cast<T*>(mean);
      auto* parameter = static_cast<T*>(parameters);
      auto* kept = static_cast<T*>(state);
      EXPECT_EQ(kept != nullptr, momentum);
      for (int64_t i = 0; i < count; ++i) {
        if (momentum) step[i] = kept[i] = kept[i] * static_cast<T>(kMomentum) + step[i];
        parameter[i] -= static_cast<T>(kRate) * step[i];
        step[i] = -1;  // to be written over at will
      }
    };
  }

  comm::ProcessGroup& group_;
  at::ScalarType type_;
  Place place_;
  comm::ShardedUpdate update_;
  std::vector<at::Tensor> gradients_;  // as they must be afterwards
  std::vector<at::Tensor> expected_, momenta_;
  int64_t steps_ = 0;
};

}  // namespace lockstep::shm
