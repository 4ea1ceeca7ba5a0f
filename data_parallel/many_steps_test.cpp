// Many steps on many threads, which ThreadSanitizer watches where it is built in, and
// steps that fail.
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <atomic>

#include "data_parallel/data_parallel.h"
#include "data_parallel/loss_place.h"
#include "training/evaluate.h"

namespace lockstep::data_parallel {
namespace {

namespace nn = torch::nn;
using device::make_cards;

constexpr int kStepsOfEachLoss = 1000;

// With buffers, so that they move, too; in eval() so that parts and whole agree.
Network small_network() {
  torch::manual_seed(4);
  Network network(nn::Linear(3, 4), nn::BatchNorm1d(4), nn::ReLU(), nn::Linear(4, 2));
  network->to(at::kDouble);
  network->eval();
  return network;
}

struct Batch {
  at::Tensor images = torch::randn({17, 3}, at::kDouble);
  at::Tensor labels = torch::randint(0, 2, {17}, at::kLong);
};

// A step down the gradients, which are taken away.
void descend(const Network& network) {
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : network->parameters()) {
    parameter.sub_(std::exchange(parameter.mutable_grad(), at::Tensor()), 0.05);
  }
}

class ManySteps : public testing::TestWithParam<std::string> {
 protected:
  ManySteps() { meter_.start(/*batches=*/1 << 20); }

  static TrainOptions options() {
    TrainOptions options;
    options.data_parallel.reduce = "tree";
    options.data_parallel.loss = GetParam();
    return options;
  }

  void step_in_parallel(DataParallel& parallel, const Batch& batch) {
    const Tensors outputs =
        parallel.forward(criterion_.inputs(batch.images, batch.labels));
    const at::Tensor loss = criterion_(outputs.front(), batch.labels);
    loss.backward();
    parallel.backward({outputs.front().grad()});
    descend(network_);
    meter_.step(loss, batch.labels.size(0));
  }

  void step_alone(const Batch& batch) {
    training::cross_entropy(alone_->forward(batch.images), batch.labels).backward();
    descend(alone_);
  }

  void expect_equal() const {
    const auto found = network_->parameters(), wanted = alone_->parameters();
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(found[i].allclose(wanted[i], 1e-8, 1e-10)) << i;
    }
  }

  std::vector<Card> cards_ = make_cards("cpu", 8, 1);
  CardScope scope_{cards_.front()};
  StepMeter meter_{options(), World(), cards_};
  LossPlace criterion_{options(), cards_, meter_};
  Network network_ = small_network();
  Network alone_ = small_network();
};

TEST_P(ManySteps, OnEightThreadsAreOneCards) {
  DataParallel parallel(network_.ptr(), criterion_.forward(), cards_,
                        options().data_parallel, meter_);
  for (int i = 0; i < kStepsOfEachLoss; ++i) {
    const Batch batch;
    step_in_parallel(parallel, batch);
    step_alone(batch);
  }
  expect_equal();
}

// In step 17 a replica's forward pass throws, in step 18 another's backward pass.
TEST_P(ManySteps, AStepThatFailsLeavesTheNextOneCorrect) {
  std::atomic<int> step = 0;
  const auto fragile = [this, &step](nn::Module& replica, const Tensors& inputs) {
    const bool third = inputs[0].size(0) == 3 && step == 17;
    TORCH_CHECK(!third, "out of paper");
    Tensors outputs = criterion_.forward()(replica, inputs);
    if (inputs[0].size(0) == 2 && step == 18) {  // the last one's rows
      outputs[0].register_hook([](const at::Tensor& gradient) -> at::Tensor {
        TORCH_CHECK(false, "out of ink");
        return gradient;
      });
    }
    return outputs;
  };
  DataParallel parallel(network_.ptr(), fragile, cards_, options().data_parallel,
                        meter_);
  std::string errors;
  for (; step < 30; ++step) {
    const Batch batch;
    try {
      step_in_parallel(parallel, batch);
    } catch (const c10::Error& error) {
      errors += std::to_string(step) + ": " + error.what_without_backtrace() + "\n";
      for (at::Tensor& parameter : network_->parameters())
        parameter.mutable_grad().reset();
      continue;  // the caller goes on with the next batch
    }
    step_alone(batch);
  }
  // 17 rows: five cards have three, the sixth two.
  EXPECT_EQ(errors,
            "17: replica 0 on cpu card 0: out of paper\n"
            "18: replica 5 on cpu card 5: out of ink\n");
  expect_equal();
}

INSTANTIATE_TEST_SUITE_P(Losses, ManySteps, testing::Values("primary", "replica"));

}  // namespace
}  // namespace lockstep::data_parallel
