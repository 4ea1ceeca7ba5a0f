// Cards that fail, any of them at any point of a step: all others come back from it,
// and the next step is right.
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <functional>
#include <random>
#include <stdexcept>

#include "data_parallel/data_parallel.h"
#include "device/memory_ledger.h"

namespace lockstep::data_parallel {
namespace {

namespace nn = torch::nn;
using device::make_cards;

constexpr int kStepsOfEachNumberOfCards = 15;

enum class Stage { nowhere, before, after, output_gradient, hidden_gradient, memory };

[[noreturn]] void fail(unsigned kind) {
  if (kind % 3 == 0) throw std::runtime_error("out of paper");
  if (kind % 3 == 1) throw 17;  // no std::exception at all
  TORCH_CHECK(false, "out of ink");
}

// Whichever card has the row fails, where it is told to.
struct Fault {
  Stage stage = Stage::nowhere;
  int64_t row = 0;
  unsigned kind = 0;

  void in_forward(Stage here, const at::Tensor& rows) const {
    if (here == stage && rows.eq(row).any().item<bool>()) fail(kind);
  }
  void in_backward(Stage here, const at::Tensor& rows, const at::Tensor& of) const {
    if (here != stage || !rows.eq(row).any().item<bool>() || !of.requires_grad())
      return;
    of.register_hook([kind = kind](const at::Tensor&) -> at::Tensor { fail(kind); });
  }
};

class TwoLayersImpl : public nn::Cloneable<TwoLayersImpl> {
 public:
  TwoLayersImpl() { TwoLayersImpl::reset(); }
  void reset() override {
    first_ = register_module("first", nn::Linear(3, 5));
    norm_ = register_module("norm", nn::BatchNorm1d(5));
    second_ = register_module("second", nn::Linear(5, 2));
    to(at::kDouble);
    eval();  // a batch that is split has other statistics
  }
  at::Tensor forward(const at::Tensor& images, const at::Tensor& rows,
                     const Fault& fault) {
    fault.in_forward(Stage::before, rows);
    const at::Tensor hidden = first_(images);
    fault.in_backward(Stage::hidden_gradient, rows, hidden);
    at::Tensor output = second_(norm_(hidden).relu());
    fault.in_backward(Stage::output_gradient, rows, output);
    fault.in_forward(Stage::after, rows);
    return output;
  }

 private:
  nn::Linear first_{nullptr}, second_{nullptr};
  nn::BatchNorm1d norm_{nullptr};
};
TORCH_MODULE(TwoLayers);

// Every parameter and buffer is another one than in the step before, and once in a
// while lies elsewhere.
void change(TwoLayers& module, std::mt19937& random) {
  const at::NoGradGuard no_grad;
  for (at::Tensor& parameter : module->parameters()) {
    if (random() % 20 == 0) parameter.set_data(torch::empty_like(parameter));
    parameter.copy_(torch::randn_like(parameter));
    parameter.mutable_grad().reset();
  }
  for (at::Tensor& buffer : module->buffers()) {
    if (buffer.is_floating_point()) buffer.copy_(torch::rand_like(buffer) + 0.5);
  }
}

Tensors gradients_alone(const TwoLayers& module, const at::Tensor& images) {
  const auto alone = std::dynamic_pointer_cast<TwoLayersImpl>(module->clone());
  alone->eval();
  alone->forward(images, at::Tensor(), Fault()).square().sum().backward();
  Tensors gradients;
  for (const at::Tensor& parameter : alone->parameters()) {
    gradients.push_back(parameter.grad());
  }
  return gradients;
}

struct Way {
  std::string reduce, replicate;
};

class FailingCards : public testing::TestWithParam<Way> {
 protected:
  // Whether the step came to its end.
  bool step(DataParallel& parallel, const at::Tensor& images) {
    try {
      const at::Tensor rows = torch::arange(images.size(0));
      const at::Tensor output = parallel.forward({images, rows}).front();
      output.square().sum().backward();
      parallel.backward({output.grad()});
      return true;
    } catch (const std::exception& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("card "), std::string::npos) << text;
      full_ += dynamic_cast<const c10::OutOfMemoryError*>(&error) == nullptr ? 0 : 1;
    } catch (int thrown) {
      EXPECT_EQ(thrown, 17);
    }
    return false;
  }

  void steps_over(size_t count) {
    const std::vector<Card> cards = make_cards("cpu", static_cast<int>(count), 1);
    const CardScope scope(cards.front());
    StepMeter meter{TrainOptions(), World(), cards};
    TwoLayers module;
    const auto forward = [this](nn::Module& replica, const Tensors& inputs) -> Tensors {
      return {
          dynamic_cast<TwoLayersImpl&>(replica).forward(inputs[0], inputs[1], fault_)};
    };
    training::DataParallelOptions options;
    options.reduce = GetParam().reduce;
    options.replicate = GetParam().replicate;
    DataParallel parallel(module.ptr(), forward, cards, options, meter);
    for (int i = 0; i < kStepsOfEachNumberOfCards; ++i) {
      const auto size = static_cast<int64_t>(1 + random_() % 20);
      const at::Tensor images = torch::randn({size, 3}, at::kDouble);
      change(module, random_);
      const Tensors wanted = gradients_alone(module, images);
      fault_ = {static_cast<Stage>(random_() % 6),
                static_cast<int64_t>(random_() % static_cast<unsigned>(size)),
                static_cast<unsigned>(random_())};
      const auto full = static_cast<int>(random_() % count);
      if (fault_.stage == Stage::memory) {  // at its first allocation, or a later one
        const int64_t room = random_() % 2 == 0 ? 0 : random_() % 1500;
        device::limit_card(full, device::card_bytes(full).live + 1 + room);
      }
      const bool ended = step(parallel, images);
      device::limit_card(full, 0);
      failed_ += ended ? 0 : 1;
      if (fault_.stage == Stage::nowhere) ASSERT_TRUE(ended);
      if (!ended) {
        ASSERT_NE(fault_.stage, Stage::nowhere);
        continue;
      }
      ASSERT_TRUE(fault_.stage == Stage::nowhere || fault_.stage == Stage::memory);
      for (size_t p = 0; p < wanted.size(); ++p) {
        EXPECT_TRUE(module->parameters()[p].grad().allclose(wanted[p], 1e-10, 1e-12))
            << "parameter " << p << ", step " << i << " over " << count << " cards";
      }
    }
  }

  std::mt19937 random_{6};
  Fault fault_;
  int failed_ = 0, full_ = 0;
};

TEST_P(FailingCards, AnyCardAnywhereLeavesTheNextStepRight) {
  torch::manual_seed(5);
  for (size_t count = 1; count <= 8; ++count) steps_over(count);
  EXPECT_GT(failed_, 4 * kStepsOfEachNumberOfCards) << "of eight times as many";
  EXPECT_GT(full_, 5);
}

INSTANTIATE_TEST_SUITE_P(Ways, FailingCards,
                         testing::Values(Way{"serial", "cached"}, Way{"tree", "cached"},
                                         Way{"serial", "every-step"},
                                         Way{"tree", "every-step"}),
                         [](const auto& info) {
                           return info.param.reduce + (info.param.replicate == "cached"
                                                           ? "Cached"
                                                           : "EveryStep");
                         });

}  // namespace
}  // namespace lockstep::data_parallel
