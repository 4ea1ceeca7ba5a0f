// DataParallel over modules that are more than a network: several inputs, several
// outputs, other dimensions, other cards; and over those that cannot be.
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <stdexcept>

#include "data_parallel/data_parallel.h"
#include "device/memory_ledger.h"

namespace lockstep::data_parallel {
namespace {

namespace nn = torch::nn;
using device::make_cards;

// (a [n, 4], b [n, 4]) -> (mixed [n, 3], the largest of a [n], the mean of b []), with
// a weight that is used twice under two names.
class MixerImpl : public nn::Cloneable<MixerImpl> {
 public:
  MixerImpl() { MixerImpl::reset(); }

  void reset() override {
    first_ = register_module("first", nn::Linear(4, 3));
    scale_ = register_parameter("scale", torch::ones({3}));
    again_ = register_parameter("again", scale_);
    norm_ = register_module("norm", nn::BatchNorm1d(3));
  }

  Tensors forward(const at::Tensor& a, const at::Tensor& b) {
    const at::Tensor mixed = norm_(first_(a) * scale_) + first_(b) * again_;
    return {mixed, std::get<0>(a.max(1)), (first_(b) * again_).mean()};
  }

  nn::BatchNorm1d& norm() { return norm_; }

 private:
  nn::Linear first_{nullptr};
  at::Tensor scale_, again_;
  nn::BatchNorm1d norm_{nullptr};
};
TORCH_MODULE(Mixer);

Tensors run_mixer(nn::Module& module, const Tensors& inputs) {
  return dynamic_cast<MixerImpl&>(module).forward(inputs.at(0), inputs.at(1));
}

class ModuleTest : public testing::Test {
 protected:
  ModuleTest() { torch::manual_seed(1); }

  static Mixer mixer() {
    Mixer mixer;
    mixer->to(at::kDouble);
    mixer->norm()->eval();  // a batch that is split has other statistics
    return mixer;
  }

  static std::string error_of(const std::function<void()>& act) {
    try {
      act();
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "none";
  }

  std::vector<Card> cards_ = make_cards("cpu", 4, 1);
  CardScope scope_{cards_.front()};
  StepMeter meter_{TrainOptions(), World(), cards_};
};

TEST_F(ModuleTest, SeveralInputsAndOutputs) {
  Mixer module = mixer();
  const at::Tensor a = torch::randn({10, 4}, at::kDouble);
  const at::Tensor b = torch::randn({10, 4}, at::kDouble);
  const Tensors wanted = run_mixer(*module, {a, b});
  (wanted[0].square().sum() + 10 * wanted[2]).backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : module->parameters()) {
    gradients.push_back(parameter.grad());
  }

  for (const std::string replicate : {"cached", "every-step"}) {
    DataParallel parallel(module.ptr(), &run_mixer, cards_, {.replicate = replicate},
                          meter_);
    for (int pass = 0; pass < 2; ++pass) {
      for (at::Tensor& parameter : module->parameters())
        parameter.mutable_grad().reset();
      const Tensors found = parallel.forward({a, b});
      ASSERT_EQ(found.size(), 3U);
      EXPECT_TRUE(found[0].allclose(wanted[0], 1e-12, 1e-12));
      EXPECT_TRUE(found[1].equal(wanted[1]));
      EXPECT_FALSE(found[1].requires_grad()) << "it hangs on no parameter";
      ASSERT_EQ(found[2].sizes(), at::IntArrayRef({4})) << "a number is a row";
      const at::Tensor rows = torch::tensor({3.0, 3.0, 3.0, 1.0}, at::kDouble);
      const at::Tensor mean = (found[2] * rows).sum() / 10;
      EXPECT_TRUE(mean.allclose(wanted[2], 1e-12, 1e-12));
      (found[0].square().sum() + 10 * mean).backward();
      parallel.backward({found[0].grad(), {}, found[2].grad()});
      for (size_t i = 0; i < gradients.size(); ++i) {
        EXPECT_TRUE(module->parameters()[i].grad().allclose(gradients[i], 1e-10, 1e-12))
            << module->named_parameters().pairs()[i].first << ", " << replicate;
      }
    }
  }
}

TEST_F(ModuleTest, ModesOfLayersReachTheReplicas) {
  Mixer module = mixer();  // training, its batch norm not
  DataParallel parallel(module.ptr(), &run_mixer, cards_, {}, meter_);
  const at::Tensor a = torch::randn({12, 4}, at::kDouble);
  const auto agrees = [&] {
    const at::NoGradGuard no_grad;
    const at::Tensor wanted = run_mixer(*module, {a, a})[0];
    return parallel.forward({a, a})[0].allclose(wanted, 1e-12, 1e-12);
  };
  EXPECT_TRUE(agrees());
  module->norm()->train();
  EXPECT_FALSE(agrees()) << "statistics of a part are not those of the whole";
  module->eval();
  EXPECT_TRUE(agrees());
}

TEST_F(ModuleTest, AlongAnotherDimension) {
  nn::Sequential module(nn::Linear(3, 3));
  DataParallel parallel(module.ptr(), &forward_network, cards_, {}, meter_, /*dim=*/1);
  const at::Tensor images = torch::randn({2, 9, 3});
  const at::Tensor found = parallel.forward({images}).front();
  EXPECT_TRUE(found.allclose(module->forward(images), 1e-5, 1e-6));
}

TEST_F(ModuleTest, TheOutputCardPaysForOutputs) {
  nn::Sequential module(nn::Linear(10, 1000));
  DataParallel parallel(module.ptr(), &forward_network, cards_, {.output_device = 2},
                        meter_);
  const Tensors found = parallel.forward({torch::randn({8, 10})});
  const auto gathered = [](int card) {
    return device::card_bytes(card)
        .live_by_category[static_cast<size_t>(device::Category::gathered_outputs)];
  };
  EXPECT_EQ(gathered(0), 0);
  EXPECT_EQ(gathered(2), 8 * 1000 * 4);
  parallel.backward({torch::ones({8, 1000})});
  EXPECT_TRUE(module->parameters()[1].grad().equal(torch::full({1000}, 8.0F)));
  EXPECT_EQ(error_of([&] {
              DataParallel(module.ptr(), &forward_network, cards_, {.output_device = 7},
                           meter_);
            }),
            "--output-device 7 is none of the cards that compute; name one of them");
}

TEST_F(ModuleTest, AParameterOnAnotherCardIsNamed) {
  nn::Sequential module(nn::Linear(3, 3));
  {
    const CardScope elsewhere(cards_[1]);
    module->push_back(nn::BatchNorm1d(3));
  }
  EXPECT_EQ(error_of([&] {
              DataParallel(module.ptr(), &forward_network, cards_, {}, meter_);
            }),
            "parameter 1.weight is on card 1, and DataParallel wants the module on cpu "
            "card 0, the first of its cards; make it there, or name that card first");
}

TEST_F(ModuleTest, AParameterThatMovesLaterIsNamedThen) {
  nn::Sequential module(nn::Linear(3, 3));
  DataParallel parallel(module.ptr(), &forward_network, cards_, {}, meter_);
  const at::Tensor images = torch::randn({8, 3});
  parallel.forward({images});
  at::Tensor bias = module->parameters()[1];
  {
    const device::HostScope host;
    bias.set_data(torch::ones({3}));
  }
  EXPECT_EQ(error_of([&] {
              parallel.forward({images});
            }).rfind("parameter 0.bias is on the host", 0),
            0U);
  bias.set_data(torch::full({3}, 2.0F));  // other memory, on the card
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(parallel.forward({images}).front().allclose(module->forward(images)))
      << "the copies were made anew";
}

TEST_F(ModuleTest, AnErrorNamesReplicaAndCard) {
  const auto cards = std::vector<Card>{cards_[2], cards_[0], cards_[3]};
  const CardScope scope(cards.front());
  nn::Sequential module(nn::Linear(7, 3));
  const auto fails_on = [](size_t rows) {
    return [rows](nn::Module& replica, const Tensors& inputs) {
      TORCH_CHECK(inputs[0].size(0) != static_cast<int64_t>(rows), "too few");
      return forward_network(replica, inputs);
    };
  };
  StepMeter meter(TrainOptions(), World(), cards);
  DataParallel parallel(module.ptr(), fails_on(1), cards, {}, meter);
  EXPECT_EQ(error_of([&] {
              parallel.forward({torch::randn({5, 7})});
            }),
            "replica 2 on cpu card 3: too few");
  EXPECT_EQ(error_of([&] {
              parallel.forward({torch::randn({6, 8})});
            }).rfind("replica 0 on cpu card 2: ", 0),
            0U)
      << "8 features into 7";
  EXPECT_EQ(error_of([&] {
              parallel.backward({torch::ones({6, 3})});
            }),
            "backward() without a forward() before it");
  EXPECT_EQ(error_of([&] { parallel.forward({torch::randn({6, 7})}); }), "none");
}

TEST_F(ModuleTest, AsManyGradientsAsOutputs) {
  nn::Sequential module(nn::Linear(3, 3));
  DataParallel parallel(module.ptr(), &forward_network, cards_, {}, meter_);
  parallel.forward({torch::ones({8, 3})});
  EXPECT_EQ(
      error_of([&] {
        parallel.backward({torch::ones({8, 3}), {}});
      }),
      "backward() was given 2 gradients and forward() had 1 outputs; an undefined "
      "one stands for none");
}

TEST_F(ModuleTest, WithoutAnyParameter) {
  nn::Sequential module{nn::ReLU()};
  for (const std::string replicate : {"cached", "every-step"}) {
    DataParallel parallel(module.ptr(), &forward_network, cards_,
                          {.replicate = replicate}, meter_);
    const at::Tensor images = torch::randn({8, 3});
    EXPECT_TRUE(parallel.forward({images}).front().equal(images.relu())) << replicate;
    parallel.backward({{}});
  }
}

// Room for the copy's parts, and not for the piece that they move to.
TEST_F(ModuleTest, ACardThatWasFullTakesItsReplicaLater) {
  nn::Sequential module(nn::Linear(100, 100));
  DataParallel parallel(module.ptr(), &forward_network, cards_, {}, meter_);
  const at::Tensor images = torch::randn({8, 100});
  device::limit_card(2, 80000);
  EXPECT_NE(
      error_of([&] { parallel.forward({images}); }).find("cpu card 2: out of memory"),
      std::string::npos);
  device::limit_card(2, 0);
  const at::Tensor found = parallel.forward({images}).front();
  EXPECT_TRUE(found.allclose(module->forward(images), 1e-5, 1e-6));
}

TEST_F(ModuleTest, InputsThatDoNotFitTogetherAreNamed) {
  Mixer module = mixer();
  DataParallel parallel(module.ptr(), &run_mixer, cards_, {}, meter_);
  EXPECT_EQ(error_of([&] {
              parallel.forward({torch::ones({4, 4}), torch::ones({5, 4})});
            }),
            "input 1 has 5 rows in dimension 0 and input 0 has 4; all inputs are cut "
            "alike");
  EXPECT_EQ(error_of([&] { parallel.forward({}); }),
            "DataParallel has no input to scatter; give one");
}

TEST_F(ModuleTest, TheGeneratorIsLeftAlone) {
  nn::Sequential module(nn::Linear(3, 3));
  for (const std::string replicate : {"cached", "every-step"}) {
    torch::manual_seed(5);
    const at::Tensor wanted = torch::rand({3});
    torch::manual_seed(5);
    DataParallel parallel(module.ptr(), &forward_network, cards_,
                          {.replicate = replicate}, meter_);
    parallel.forward({torch::ones({8, 3})});
    EXPECT_TRUE(torch::rand({3}).equal(wanted)) << replicate;
  }
}

}  // namespace
}  // namespace lockstep::data_parallel
