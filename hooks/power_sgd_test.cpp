// PowerSGD by its own laws: what is of low rank arrives whole, what does not arrive is
// kept and comes later, and all ranks hold the same bits. Under the bucketed reducer,
// as programs use it. (Beside Python's hook: tests/equality.)
#include "hooks/power_sgd.h"

#include <gtest/gtest.h>

#include "ddp/bucketed_reducer.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::hooks {
namespace {

using ddp::BucketedReducer;
using ddp::RandomNet;
using ddp::run_thread_ranks;
using ddp::ThreadRank;

at::Tensor drawn(at::IntArrayRef sizes, uint64_t seed) {
  return at::randn(sizes, at::detail::createCPUGenerator(seed),
                   at::TensorOptions().dtype(at::kDouble));
}

HookOptions options_of(int64_t rank, int64_t start) {
  HookOptions options;
  options.powersgd_rank = rank;
  options.powersgd_start = start;
  options.seed = 5;
  return options;
}

// A reducer whose gradients the test sets itself: reduce() leaves in them what the
// ranks get.
class Bench {
 public:
  Bench(const std::vector<std::vector<int64_t>>& shapes, const HookOptions& options,
        const ThreadRank& at, at::ScalarType type = at::kDouble,
        int64_t cap_bytes = 1 << 20) {
    for (const auto& shape : shapes) {
      parameters_.push_back(at::zeros(shape, type).requires_grad_());
    }
    reducer_ = std::make_unique<BucketedReducer>(ddp::named(parameters_), at.group,
                                                 ddp::caps(cap_bytes, cap_bytes));
    auto hook = std::make_unique<PowerSgd>(options);
    hook_ = hook.get();
    reducer_->register_comm_hook(std::move(hook));
  }

  std::vector<at::Tensor> reduce(const std::vector<at::Tensor>& gradients) {
    reducer_->zero_grad();
    at::Tensor output = at::zeros({}, parameters_[0].options().requires_grad(false));
    for (size_t p = 0; p < parameters_.size(); ++p) {
      output = output + (parameters_[p] * gradients[p]).sum();
    }
    reducer_->prepare(output);
    output.backward();
    reducer_->finalize();
    std::vector<at::Tensor> result;
    for (const at::Tensor& parameter : parameters_) {
      result.push_back(parameter.grad().clone());
    }
    return result;
  }

  at::Tensor unsent(size_t p) const { return hook_->unsent(parameters_[p]); }

 private:
  std::vector<at::Tensor> parameters_;
  std::unique_ptr<BucketedReducer> reducer_;
  PowerSgd* hook_;
};

double apart(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / (b.norm() + 1e-300)).item<double>();
}

// Each rank's own matrix is of full rank; their mean is not.
TEST(PowerSgd, LeavesAMeanOfLowRankAsItIs) {
  constexpr int64_t kRank = 2;
  ddp::run_over_each_backend(3, [](const ThreadRank& at) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
      Bench bench({{40, 31}, {8, 5, 3, 3}, {17}}, options_of(kRank, 0), at, type);
      for (uint64_t step = 0; step < 3; ++step) {
        const at::Tensor wide =
            at::mm(drawn({40, kRank}, 2 * step), drawn({kRank, 31}, 2 * step + 1));
        const at::Tensor conv =
            at::mm(drawn({8, kRank}, 70 + step), drawn({kRank, 45}, 80 + step))
                .view({8, 5, 3, 3});
        const at::Tensor bias = drawn({17}, 90 + step);
        const double turn = at.rank - 1;  // -1, 0 and 1: nothing in the sum
        const auto got =
            bench.reduce({(wide + turn * drawn({40, 31}, 100 + step)).to(type),
                          (conv + turn * drawn({8, 5, 3, 3}, 200 + step)).to(type),
                          (bias + turn * drawn({17}, 300 + step)).to(type)});
        const double bar = type == at::kDouble ? 1e-12 : 2e-5;
        EXPECT_LE(apart(got[0], wide), bar) << "step " << step;
        EXPECT_LE(apart(got[1], conv), bar) << "step " << step;
        EXPECT_LE(apart(got[2], bias), bar) << "step " << step;
      }
      EXPECT_TRUE(bench.unsent(0).defined());
      EXPECT_TRUE(bench.unsent(1).defined());
      EXPECT_FALSE(bench.unsent(2).defined());
    }
  });
}

// See Note [Error feedback]. The first step's buckets are not the others': they are
// rebuilt in between. Some matrices lie transposed in memory.
TEST(PowerSgd, KeepsWhatItDoesNotSend) {
  for (const uint64_t seed : {1, 4, 6}) {
    for (const int64_t cap : {0, 900, 1 << 20}) {
      std::array<std::vector<at::Tensor>, 3> results;
      run_thread_ranks(3, [&](const ThreadRank& at) {
        const RandomNet net(seed, at::kDouble);
        const std::vector<at::Tensor> parameters = net.parameters();
        BucketedReducer reducer(ddp::named(parameters), at.group, ddp::caps(0, cap));
        auto owned = std::make_unique<PowerSgd>(options_of(1, 0));
        const PowerSgd& hook = *owned;
        reducer.register_comm_hook(std::move(owned));
        const auto in_memory = [](const at::Tensor& dense) {
          return dense.as_strided({dense.numel()}, {1});
        };
        std::vector<at::Tensor> sent, wanted;
        for (const at::Tensor& parameter : parameters) {
          sent.push_back(at::zeros({parameter.numel()}, at::kDouble));
          wanted.push_back(at::zeros({parameter.numel()}, at::kDouble));
        }
        size_t lossy = 0;
        for (int i = 0; i < 6; ++i) {
          reducer.zero_grad();
          const at::Tensor output =
              net.forward(net.batch(i, at.rank), /*turned=*/at.rank % 2 == 1);
          reducer.prepare(output);
          RandomNet::loss(output).backward();
          reducer.finalize();
          const auto oracle = net.gradients(i, at.size);
          for (size_t p = 0; p < parameters.size(); ++p) {
            // The oracle's tensors need not lie in memory as the parameter does.
            at::Tensor mean = at::empty_like(parameters[p]).detach();
            mean.copy_(oracle.mean[p]);
            wanted[p] += in_memory(mean);
            sent[p] += in_memory(parameters[p].grad());
            results[at.rank].push_back(parameters[p].grad().clone());
          }
        }
        for (size_t p = 0; p < parameters.size(); ++p) {
          at::Tensor unsent = hook.unsent(parameters[p]);
          at::Tensor total = sent[p];
          if (unsent.defined()) {
            unsent = unsent.clone();
            at.group.all_reduce_mean(unsent).wait();
            total = total + unsent.view({-1});
            EXPECT_GT(apart(sent[p], wanted[p]), 1e-3) << "nothing was left out";
            ++lossy;
          }
          EXPECT_LE(apart(total, wanted[p]), 1e-11)
              << "seed " << seed << ", cap " << cap << ", parameter " << p;
        }
        EXPECT_GE(lossy, 2U);
      });
      ASSERT_EQ(results[0].size(), results[1].size());
      for (size_t i = 0; i < results[0].size(); ++i) {
        EXPECT_TRUE(at::equal(results[0][i], results[1][i]));
        EXPECT_TRUE(at::equal(results[0][i], results[2][i]));
      }
    }
  }
}

// The same gradient again and again, of full rank: what is unsent stays as small as a
// few gradients, for what is left out grows until it is what is sent.
TEST(PowerSgd, SendsEverythingInTheEnd) {
  run_thread_ranks(2, [](const ThreadRank& at) {
    Bench bench({{30, 26}}, options_of(2, 0), at, at::kFloat);
    const at::Tensor mean = drawn({30, 26}, 1);
    const double size = mean.norm().item<double>();
    at::Tensor sent = at::zeros_like(mean);
    for (int step = 0; step < 200; ++step)
      sent += bench.reduce({mean.to(at::kFloat)})[0];
    EXPECT_LE(bench.unsent(0).norm().item<double>(), 13 * size);
    EXPECT_LE(apart(sent / 200, mean), 13.0 / 200);
  });
}

// Messages in elements: matrices of 24 x 20 by rank 2, a vector, and a matrix that is
// too small.
TEST(PowerSgd, BeginsAtItsStepAndSendsTwoSmallMessages) {
  run_thread_ranks(2, [](const ThreadRank& at) {
    HookOptions options = options_of(2, 3);
    options.steps_before = 1;
    Bench bench({{24, 20}, {9}, {6, 6}}, options, at);
    const double turn = 2 * at.rank - 1;
    for (uint64_t step = 1; step < 5; ++step) {
      const at::Tensor mean = drawn({24, 20}, step);
      const at::Tensor small = drawn({6, 6}, 100 + step);
      at.recording.take_all_reduced();
      const auto got = bench.reduce(
          {mean + turn * drawn({24, 20}, 20 + step), at::full({9}, turn + 2), small});
      const std::vector<int64_t> plain = {24 * 20 + 9 + 36};
      const std::vector<int64_t> compressed = {9 + 36 + 2 * 24, 2 * 20};
      EXPECT_EQ(at.recording.take_all_reduced(), step < 3 ? plain : compressed);
      EXPECT_LE(apart(got[2], small), 1e-15);
      EXPECT_TRUE(at::equal(got[1], at::full({9}, 2.0, at::kDouble)));
      if (step < 3) {
        EXPECT_LE(apart(got[0], mean), 1e-15);
      } else {
        EXPECT_GE(apart(got[0], mean), 1e-2);
      }
    }
  });
}

// Neither zeros, which have no direction, nor what is not a number.
TEST(PowerSgd, ForgetsWhatIsNotANumber) {
  run_thread_ranks(2, [](const ThreadRank& at) {
    Bench bench({{30, 26}, {25, 25}}, options_of(2, 0), at);
    const at::Tensor low = at::mm(drawn({30, 2}, 1), drawn({2, 26}, 2));
    const at::Tensor none = at::zeros({25, 25}, at::kDouble);
    for (int again = 0; again < 3; ++again) {
      const auto got = bench.reduce({low, none});
      EXPECT_LE(apart(got[0], low), 1e-9);
      EXPECT_TRUE(at::equal(got[1], none));
    }
    at::Tensor spoilt = low.clone();
    if (at.rank == 1) spoilt[3][4] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_TRUE(std::isnan(bench.reduce({spoilt, none})[0].sum().item<double>()));
    for (int again = 0; again < 2; ++again) {
      const auto got = bench.reduce({low, low.new_ones({25, 25})});
      EXPECT_LE(apart(got[0], low), 1e-9);
      EXPECT_LE(apart(got[1], at::ones({25, 25}, at::kDouble)), 1e-9);
    }
  });
}

}  // namespace
}  // namespace lockstep::hooks
