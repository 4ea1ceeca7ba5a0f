// A small net of odd sizes for the reducers' tests, with what a reducer may stumble
// over: a weight that is used twice, one that lies transposed in memory, a single
// number, a frozen bias, and two branches whose gradients are ready in an order of the
// rank's own.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <functional>
#include <random>
#include <vector>

#include "ddp/reducers.h"

namespace lockstep::ddp {

class RandomNet {
 public:
  // The same seed draws the same net, in any thread.
  RandomNet(uint64_t seed, at::ScalarType type) : type_(type) {
    std::minstd_rand sizes(static_cast<unsigned>(seed + 1));
    const auto size = [&sizes] { return static_cast<int64_t>(1 + sizes() % 37); };
    const at::Generator random = at::detail::createCPUGenerator(seed);
    const auto draw = [&](at::IntArrayRef shape) {
      return at::randn(shape, random, at::TensorOptions().dtype(at::kDouble)).to(type) *
             0.3;
    };
    inputs_ = size();
    const int64_t hidden = size();
    const int64_t branch = size();
    first_ = draw({hidden, inputs_}).requires_grad_();
    frozen_bias_ = draw({hidden});
    tied_ = draw({hidden, hidden}).requires_grad_();
    left_ = draw({hidden, branch}).t().requires_grad_();  // [branch, hidden], columns
    right_ = draw({branch, hidden}).requires_grad_();
    scale_ = draw({}).requires_grad_();
    bias_ = draw({branch}).requires_grad_();
  }

  // Those that are trained, in the order of the forward pass.
  std::vector<at::Tensor> parameters() const {
    return {first_, tied_, left_, right_, scale_, bias_};
  }
  const at::Tensor& frozen() const { return frozen_bias_; }

  // This rank's batch of a step [n, inputs]; n differs between steps, not between
  // ranks.
  at::Tensor batch(int step, int rank) const {
    const at::Generator random =
        at::detail::createCPUGenerator(static_cast<uint64_t>(1000 * step + rank));
    return at::randn({3 + step, inputs_}, random,
                     at::TensorOptions().dtype(at::kDouble))
        .to(type_);
  }

  // [n, inputs] -> [n, branch]. `turned` builds the branches in the other order, so
  // that backward comes to them in the other order.
  at::Tensor forward(const at::Tensor& input, bool turned = false) const {
    at::Tensor hidden = at::tanh(at::linear(input, first_, frozen_bias_));
    hidden = at::tanh(at::linear(at::tanh(at::linear(hidden, tied_)), tied_));
    at::Tensor left, right;
    if (!turned) left = at::linear(hidden, left_);
    right = at::linear(hidden, right_) * scale_;
    if (turned) left = at::linear(hidden, left_);
    return left + right + bias_;
  }

  struct Gradients {
    std::vector<at::Tensor> mean;  // over ranks
    // Of each parameter the mean of the ranks' norms: what was added up, and so what
    // rounding is relative to. The mean itself may cancel to nearly nothing.
    std::vector<double> norms;
  };
  // The gradients of loss(), computed here, one rank after the other.
  Gradients gradients(int step, int ranks) const;

  static at::Tensor loss(const at::Tensor& output) { return output.pow(2).mean(); }

  // One step of plain gradient descent.
  void descend(const std::vector<at::Tensor>& gradients) {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> all = parameters();
    for (size_t i = 0; i < all.size(); ++i) all[i].sub_(gradients[i], 0.1);
  }

 private:
  at::ScalarType type_;
  int64_t inputs_;
  at::Tensor first_, frozen_bias_, tied_, left_, right_, scale_, bias_;
};

inline RandomNet::Gradients RandomNet::gradients(int step, int ranks) const {
  const std::vector<at::Tensor> all = parameters();
  Gradients result;
  for (const at::Tensor& parameter : all)
    result.mean.push_back(at::zeros_like(parameter));
  result.norms.resize(all.size());
  for (int rank = 0; rank < ranks; ++rank) {
    const auto of_rank = torch::autograd::grad({loss(forward(batch(step, rank)))}, all);
    for (size_t i = 0; i < all.size(); ++i) {
      result.mean[i].add_(of_rank[i], 1.0 / ranks);
      result.norms[i] += of_rank[i].norm().item<double>() / ranks;
    }
  }
  return result;
}

// One pass of a loop, its calls in their order.
inline void run_pass(Reducer& reducer, const std::function<at::Tensor()>& forward) {
  reducer.zero_grad();
  const at::Tensor output = forward();
  reducer.prepare(output);
  RandomNet::loss(output).backward();
  reducer.finalize();
}

// For parameters that no module names: "p0", "p1" ...
inline NamedParameters named(const std::vector<at::Tensor>& parameters) {
  NamedParameters result;
  for (const at::Tensor& parameter : parameters) {
    result.push_back({"p" + std::to_string(result.size()), parameter});
  }
  return result;
}

inline TrainOptions caps(int64_t first_bytes, int64_t bytes) {
  constexpr double kMiB = 1024 * 1024;
  TrainOptions options;
  options.ddp.first_bucket_cap_mb = static_cast<double>(first_bytes) / kMiB;
  options.ddp.bucket_cap_mb = static_cast<double>(bytes) / kMiB;
  return options;
}

}  // namespace lockstep::ddp
