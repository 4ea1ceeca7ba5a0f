// The bucketed reducer against LibTorch's own, the one behind Python's
// DistributedDataParallel.
#include <gtest/gtest.h>

#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "ddp/bucket.h"
#include "ddp/random_net.h"
#include "ddp/reducers.h"
#include "ddp/thread_ranks.h"

namespace lockstep::ddp {
namespace {

constexpr int kSteps = 4;  // c10d rebuilds its buckets after the first
constexpr int64_t kCapBytes = 3000;

c10::intrusive_ptr<c10d::ProcessGroup> as_c10d_group(const ThreadRank& at) {
  const auto store = c10::make_intrusive<c10d::HashStore>();  // asked for nothing
  auto group = c10::make_intrusive<c10d::ProcessGroup>(store, at.rank, at.size);
  group->setBackend(at::kCPU, c10d::ProcessGroup::BackendType::GLOO,
                    at.group.backend());
  group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
  return group;
}

// The gradients of every step, as c10d leaves them.
std::vector<std::vector<at::Tensor>> gradients_of_c10d(const ThreadRank& at,
                                                       uint64_t seed) {
  RandomNet net(seed, at::kDouble);
  const std::vector<at::Tensor> parameters = net.parameters();
  const auto reducer = std::make_shared<c10d::Reducer>(
      parameters, assign_buckets(parameters, kCapBytes, kCapBytes), as_c10d_group(at),
      std::vector<bool>(parameters.size(), false), kCapBytes,
      /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/true,
      std::unordered_map<size_t, std::string>(), kCapBytes,
      /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
      std::vector<int64_t>());
  const auto logger = std::make_shared<c10d::Logger>(reducer);
  reducer->set_logger(logger);
  std::vector<std::vector<at::Tensor>> steps;
  for (int step = 0; step < kSteps; ++step) {
    const at::NoGradGuard no_grad_between_steps;
    for (at::Tensor parameter : parameters) {
      if (parameter.grad().defined()) parameter.mutable_grad().zero_();
    }
    {
      const at::AutoGradMode grad(true);
      reducer->prepare_for_forward();
      const at::Tensor output = net.forward(net.batch(step, at.rank));
      if (reducer->should_rebuild_buckets()) reducer->rebuild_buckets();
      reducer->prepare_for_backward({output});
      RandomNet::loss(output).backward();
    }
    steps.emplace_back();
    for (const at::Tensor& parameter : parameters) {
      steps.back().push_back(parameter.grad().clone());
    }
    net.descend(steps.back());
  }
  return steps;
}

std::vector<std::vector<at::Tensor>> gradients_of_ours(const ThreadRank& at,
                                                       uint64_t seed) {
  RandomNet net(seed, at::kDouble);
  const std::vector<at::Tensor> parameters = net.parameters();
  const auto reducer =
      make_bucketed_reducer(named(parameters), at.group, caps(kCapBytes, kCapBytes));
  std::vector<std::vector<at::Tensor>> steps;
  for (int step = 0; step < kSteps; ++step) {
    reducer->zero_grad();
    const at::Tensor output = net.forward(net.batch(step, at.rank));
    reducer->prepare(output);
    RandomNet::loss(output).backward();
    reducer->finalize();
    steps.emplace_back();
    for (const at::Tensor& parameter : parameters) {
      steps.back().push_back(parameter.grad().clone());
    }
    net.descend(steps.back());
  }
  return steps;
}

TEST(BucketedReducer, AveragesAsC10dDoes) {
  for (const int size : {1, 2, 3, 5}) {
    run_thread_ranks(size, [&](const ThreadRank& at) {
      const auto seed = static_cast<uint64_t>(100 + size);
      const auto theirs = gradients_of_c10d(at, seed);
      const auto ours = gradients_of_ours(at, seed);
      for (int step = 0; step < kSteps; ++step) {
        for (size_t p = 0; p < theirs[step].size(); ++p) {
          const double error = (ours[step][p] - theirs[step][p]).norm().item<double>();
          EXPECT_LE(error, 1e-12 * theirs[step][p].norm().item<double>())
              << "step " << step << ", parameter " << p << " on rank " << at.rank
              << " of " << size;
        }
      }
    });
  }
}

}  // namespace
}  // namespace lockstep::ddp
