// Gradients rounded to 16 bit: beside c10d's own hook, by what rounding may do, and
// what it does to training.
#include <gtest/gtest.h>

#include <cmath>
#include <torch/csrc/distributed/c10d/default_comm_hooks.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "ddp/bucket.h"
#include "ddp/reducers.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

// c10d's reducer with its built-in hook.
class Theirs {
 public:
  Theirs(const std::vector<at::Tensor>& parameters, const ThreadRank& at)
      : reducer_(std::make_shared<c10d::Reducer>(
            parameters, assign_buckets(parameters, 500, 3000),
            as_c10d_group(at.group, at::kCPU),
            std::vector<bool>(parameters.size(), false), 3000,
            /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/true,
            std::unordered_map<size_t, std::string>(), 500, false, false,
            std::vector<int64_t>())),
        logger_(std::make_shared<c10d::Logger>(reducer_)) {
    reducer_->set_logger(logger_);
    reducer_->register_builtin_comm_hook(c10d::BuiltinCommHookType::FP16_COMPRESS);
  }
  void pass(const std::function<at::Tensor()>& forward) {
    reducer_->prepare_for_forward();
    reducer_->rebuild_buckets();
    const at::Tensor output = forward();
    reducer_->prepare_for_backward({});
    RandomNet::loss(output).backward();
  }

 private:
  std::shared_ptr<c10d::Reducer> reducer_;
  std::shared_ptr<c10d::Logger> logger_;
};

// Both divide by a power of two and round once, except for what is too small for 16
// bit, which they round before the division.
TEST(Fp16, IsC10dsBuiltInHook) {
  for (const int size : {2, 4}) {
    run_thread_ranks(size, [](const ThreadRank& at) {
      constexpr double kSmallest = 0x1p-24;
      RandomNet net(17, at::kFloat), their_net(17, at::kFloat);
      TrainOptions options = caps(500, 3000);
      options.ddp.comm_hook = "fp16";
      const auto ours =
          make_bucketed_reducer(named(net.parameters()), at.group, options);
      Theirs theirs(their_net.parameters(), at);
      for (int i = 0; i < 4; ++i) {
        run_pass(*ours, [&] { return net.forward(net.batch(i, at.rank)); });
        for (at::Tensor& parameter : their_net.parameters()) {
          parameter.mutable_grad().reset();
        }
        theirs.pass([&] { return their_net.forward(net.batch(i, at.rank)); });
        std::vector<at::Tensor> gradients;
        for (size_t p = 0; p < net.parameters().size(); ++p) {
          gradients.push_back(net.parameters()[p].grad());
          const at::Tensor their = their_net.parameters()[p].grad();
          EXPECT_LE((gradients[p] - their).abs().max().item<double>(),
                    at.size * kSmallest)
              << "step " << i << ", parameter " << p;
          EXPECT_GT(their.abs().max().item<double>(), 1e3 * kSmallest);
        }
        net.descend(gradients);
        their_net.descend(gradients);
      }
    });
  }
}

// Rounding to 11 bits, or 8, once here and once in each sum; and a sum that 16 bit
// could not hold, of what they can.
TEST(Rounded, IsTheMeanToSixteenBit) {
  for (const std::string name : {"fp16", "bf16"}) {
    const int bits = name == "fp16" ? 11 : 8;  // that a number keeps
    run_over_each_backend(3, [&](const ThreadRank& at) {
      TrainOptions options = caps(0, 1 << 20);
      options.ddp.comm_hook = name;
      const at::Tensor x = at::linspace(-3, 5, 1001).requires_grad_();
      const at::Tensor y = at::ones({7}).requires_grad_();
      const auto reducer = make_bucketed_reducer(named({x, y}), at.group, options);
      for (int i = 0; i < 3; ++i) {
        reducer->zero_grad();
        const at::Tensor output =
            (x * x).sum() * (at.rank + 1) + (y * 60000.0 * (i + at.rank > 0)).sum();
        reducer->prepare(output);
        output.backward();
        reducer->finalize();
        const double steps = 3 * std::ldexp(1.0, -bits);
        const at::Tensor wanted = 4 * x.detach();
        EXPECT_LE(
            ((x.grad() - wanted).abs() / (wanted.abs() + 1e-3)).max().item<double>(),
            steps)
            << name;
        const double of_y = i == 0 ? 40000 : 60000;
        EXPECT_LE((y.grad() - of_y).abs().max().item<double>(), steps * of_y) << name;
        EXPECT_FALSE(at::equal(x.grad(), wanted)) << name << ": nothing was rounded";
      }
    });
  }
}

// Of training: the loss of each step, and the parameters in the end.
TEST(Fp16, StaysWithinATenThousandthOfPlainTraining) {
  run_over_each_backend(2, [](const ThreadRank& at) {
    RandomNet nets[] = {RandomNet(23, at::kFloat), RandomNet(23, at::kFloat)};
    std::vector<double> losses[2];
    for (const int rounded : {0, 1}) {
      RandomNet& net = nets[rounded];
      TrainOptions options = caps(500, 3000);
      if (rounded) options.ddp.comm_hook = "fp16";
      const auto reducer =
          make_bucketed_reducer(named(net.parameters()), at.group, options);
      for (int i = 0; i < 20; ++i) {
        reducer->zero_grad();
        const at::Tensor output = net.forward(net.batch(i, at.rank));
        reducer->prepare(output);
        const at::Tensor loss = RandomNet::loss(output);
        losses[rounded].push_back(loss.item<double>());
        loss.backward();
        reducer->finalize();
        std::vector<at::Tensor> gradients;
        for (const at::Tensor& parameter : net.parameters()) {
          gradients.push_back(parameter.grad());
        }
        net.descend(gradients);
      }
    }
    EXPECT_NE(losses[0], losses[1]) << "nothing was rounded";
    for (size_t i = 0; i < losses[0].size(); ++i) {
      EXPECT_NEAR(losses[1][i], losses[0][i], 1e-4 * losses[0][i]) << "step " << i;
    }
    for (size_t p = 0; p < nets[0].parameters().size(); ++p) {
      const at::Tensor plain = nets[0].parameters()[p].detach();
      const at::Tensor rounded = nets[1].parameters()[p].detach();
      EXPECT_LE((rounded - plain).norm().item<double>(),
                1e-4 * plain.norm().item<double>());
    }
  });
}

}  // namespace
}  // namespace lockstep::ddp
