// Reports against what is known beforehand: the loops train a network that sleeps for
// so long in each phase, over a link of known speed. The sleeps are timed themselves,
// so that a busy machine's share is no error of the report's.
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/nn.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "ddp/train.h"
#include "device/stage.h"
#include "single_gpu/train.h"
#include "tests/fake_link.h"
#include "training/catalog.h"
#include "training/observer.h"

namespace lockstep {
namespace {

namespace nn = torch::nn;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kLayers = 4;
constexpr int64_t kSteps = 11;  // the first is not looked at
// A layer's: so few that what is computed beside the sleeps takes no time.
constexpr int64_t kElements = 1 << 14;
constexpr double kBar = 0.05;

constexpr milliseconds kData{12}, kForward{6}, kBackward{15}, kOptimizer{4};

// Milliseconds slept in each phase of a step, and what the link told of its own.
struct Slept {
  double data = 0, forward = 0, backward = 0, optimizer = 0;
  double late = 0, waited = 0;
  int64_t rows = 0;  // that came through the layers, once for each
};
std::vector<Slept>& steps_slept() {
  static std::vector<Slept> steps(1);
  return steps;
}
Slept& slept() { return steps_slept().back(); }

void sleep_into(double& phase, milliseconds time) {
  const auto begin = Clock::now();
  std::this_thread::sleep_for(time);
  phase += 1e3 * Seconds(Clock::now() - begin).count();
}

// Sleeps in both directions; backward before the layer's gradients are there.
struct Sleep : torch::autograd::Function<Sleep> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    sleep_into(slept().forward, kForward);
    slept().rows += x.size(0);
    return x.view_as(x);
  }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*,
                                               torch::autograd::tensor_list gradients) {
    sleep_into(slept().backward, kBackward);
    return gradients;
  }
};

struct SleepyImpl : nn::Module {
  SleepyImpl()
      : weight(register_parameter("weight", torch::full({kElements}, 1e-6F))) {}
  at::Tensor forward(const at::Tensor& x) {
    return Sleep::apply(x + weight.narrow(0, 0, 1));
  }
  at::Tensor weight;
};
TORCH_MODULE(Sleepy);

// What is done between steps the meter counts to the next one's data.
class SleepyData final : public training::StepObserver {
  void between_steps(int64_t next) override {
    if (next == 0 || next == kSteps) return;
    steps_slept().emplace_back();
    sleep_into(slept().data, kData);
  }
};

class Truthful : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    training::models().add("sleepy", [](const auto& /*inputs*/) {
      Network network{nn::Sequential(nn::Flatten())};
      for (int i = 0; i < kLayers; ++i) network->push_back(Sleepy());
      network->push_back(nn::Functional(
          [](const at::Tensor& x) { return x.narrow(1, 0, 10).contiguous(); }));
      return network;
    });
    // SGD adds each gradient to its parameter.
    at::addGlobalCallback(
        at::RecordFunctionCallback([](const at::RecordFunction& function)
                                       -> std::unique_ptr<at::ObserverContext> {
          const char* stage = device::current_stage();
          if (stage != nullptr && std::string(stage) == "optimizer" &&
              std::string(function.name()) == "aten::add_") {
            sleep_into(slept().optimizer, kOptimizer);
          }
          return nullptr;
        }).scopes({at::RecordScope::FUNCTION}));
  }

  static TrainOptions options() {
    TrainOptions options;
    options.model = "sleepy";
    options.dataset = "synthetic";
    options.device = "cpu";
    options.threads_per_card = 1;
    options.batch_size = 4;
    options.steps = kSteps;
    options.observers = {std::make_shared<SleepyData>()};
    steps_slept() = std::vector<Slept>(1);
    return options;
  }

  // DDP beside one imagined rank: `seconds` for one layer's gradient on the link.
  static TrainReport ddp(const std::string& reducer, milliseconds of_a_layer) {
    const double bytes_per_s =
        kElements * sizeof(float) / std::max(1e-9, Seconds(of_a_layer).count());
    training::process_groups().add(
        "fake-" + reducer + std::to_string(of_a_layer.count()),
        [bytes_per_s](const TrainOptions&, const World& world) {
          FakeLink::Listener listener;
          listener.late = [](Seconds by) { slept().late += 1e3 * by.count(); };
          listener.waited = [](Seconds by) { slept().waited += 1e3 * by.count(); };
          return std::make_shared<comm::ProcessGroup>(c10::make_intrusive<FakeLink>(
              world.world_size, Seconds(0), bytes_per_s, listener));
        });
    TrainOptions options = Truthful::options();
    options.backend = "fake-" + reducer + std::to_string(of_a_layer.count());
    options.ddp.reducer = reducer;
    options.ddp.bucket_cap_mb = 0;  // a bucket a layer
    return ddp::train(options, launch::on_one_machine(2));
  }

  // The third best of the steps' errors, each the difference over `per_ms`.
  static double error_of(const TrainReport& report, const std::string& phase,
                         const std::function<double(size_t step)>& known_ms,
                         double per_ms) {
    const std::vector<double>& ms = report.phases_ms.at(phase);
    std::vector<double> errors;
    for (size_t i = 1; i < ms.size(); ++i) {
      errors.push_back(std::abs(ms[i] - known_ms(i)) / per_ms);
    }
    EXPECT_EQ(errors.size(), static_cast<size_t>(kSteps - 1));
    std::sort(errors.begin(), errors.end());
    return errors.at(2);
  }

  static void expect_phase(const TrainReport& report, const std::string& phase,
                           double known_ms) {
    const double per_ms = known_ms > 0 ? known_ms : 60;  // a step's backward
    const auto known = [&](size_t) { return known_ms; };
    EXPECT_LE(error_of(report, phase, known, per_ms), kBar)
        << phase << ", " << known_ms << " ms";
  }

  // The link's collectives take so long, if they are in time, and of it the ranks wait
  // for so much, if they are woken in time.
  static void expect_comm(const TrainReport& report, double comm_ms,
                          double exposed_ms) {
    const auto late = [&](size_t step) {
      return comm_ms + steps_slept().at(step).late;
    };
    EXPECT_LE(error_of(report, "comm", late, comm_ms), kBar) << comm_ms << " ms";
    const auto waited = [](size_t step) { return steps_slept().at(step).waited; };
    EXPECT_LE(error_of(report, "exposed_comm", waited, exposed_ms), kBar);
    // In the step that was least disturbed.
    double off = exposed_ms;
    for (size_t i = 1; i < kSteps; ++i) {
      off = std::min(off, std::abs(waited(i) - exposed_ms));
    }
    EXPECT_LE(off, kBar * exposed_ms);
  }

  // The share of the collectives' time that was not waited for: the middle one of the
  // steps'.
  static double overlap(const TrainReport& report) {
    const auto& exposed_ms = report.phases_ms.at("exposed_comm");
    const auto& comm_ms = report.phases_ms.at("comm");
    std::vector<double> shares;
    for (size_t i = 1; i < comm_ms.size(); ++i) {
      shares.push_back(std::max(0.0, 1 - exposed_ms[i] / comm_ms.at(i)));
    }
    std::sort(shares.begin(), shares.end());
    return shares.at(shares.size() / 2);
  }

  static void expect_sleeps(const TrainReport& report) {
    const std::vector<Slept>& known = steps_slept();
    ASSERT_EQ(known.size(), static_cast<size_t>(kSteps));
    for (const auto& [phase, part] :
         {std::pair("data", &Slept::data), std::pair("forward", &Slept::forward),
          std::pair("backward", &Slept::backward),
          std::pair("optimizer", &Slept::optimizer)}) {
      ASSERT_GT(known.at(1).*part, 0) << phase;
      const auto slept_ms = [&, part = part](size_t step) { return known[step].*part; };
      EXPECT_LE(error_of(report, phase, slept_ms, known.at(1).*part), kBar) << phase;
    }
    // The phases are the step.
    for (size_t i = 0; i < report.step_ms.size(); ++i) {
      double all = 0;
      for (int p = 0; p < training::kEagerPhases; ++p) {
        all += report.phases_ms.at(to_string(static_cast<training::Phase>(p))).at(i);
      }
      EXPECT_NEAR(all, report.step_ms[i], 1e-6 * all);
    }
  }
};

TEST_F(Truthful, OneCard) {
  const TrainReport report = single_gpu::train(options(), {});
  expect_sleeps(report);
  expect_phase(report, "exposed_comm", 0);
  EXPECT_EQ(report.phases_ms.count("comm"), 0u);
}

// All of it is exposed, and nothing overlaps.
TEST_F(Truthful, SynchronousReducers) {
  for (const std::string reducer : {"naive", "flat"}) {
    const TrainReport report = ddp(reducer, milliseconds(10));
    expect_sleeps(report);
    expect_comm(report, kLayers * 10, kLayers * 10);
    EXPECT_LE(overlap(report), 0.01) << reducer;
  }
}

// A layer's gradient takes 10 ms on the link and the next one 15 ms to be made: all but
// the last are hidden.
TEST_F(Truthful, BucketsHideBehindBackward) {
  const TrainReport report = ddp("bucketed", milliseconds(10));
  expect_sleeps(report);
  expect_comm(report, kLayers * 10, 10);
  EXPECT_NEAR(overlap(report), 1 - 1.0 / kLayers, kBar);
}

TEST_F(Truthful, ALinkWithoutDelayIsNotExposed) {
  const TrainReport report = ddp("bucketed", milliseconds(0));
  expect_sleeps(report);
  expect_phase(report, "exposed_comm", 0);
}

TEST_F(Truthful, SamplesAreRealOnes) {
  const TrainReport report = ddp("flat", milliseconds(1));
  EXPECT_EQ(report.samples, std::vector<int64_t>(kSteps, 2 * 4));
  TrainOptions one = options();
  one.batch_size = 7;
  EXPECT_EQ(single_gpu::train(one, {}).samples, std::vector<int64_t>(kSteps, 7));
}

// The last batch of the epoch is smaller: in every step as many samples are counted as
// went through the network, and in the epoch as many as there are.
TEST_F(Truthful, SamplesAreThoseThatWentThroughTheNetwork) {
  TrainOptions all = options();
  all.dataset = "features100";
  all.batch_size = 2500;
  all.steps = std::numeric_limits<int64_t>::max();
  const TrainReport report = single_gpu::train(all, {});
  EXPECT_EQ(report.samples, (std::vector<int64_t>{2500, 2500, 2500, 8192 - 3 * 2500}));
  const std::vector<Slept>& steps = steps_slept();
  ASSERT_GE(steps.size(), report.samples.size());
  for (size_t i = 0; i < report.samples.size(); ++i) {
    EXPECT_EQ(steps[i].rows, kLayers * report.samples[i]) << "step " << i;
  }
}

}  // namespace
}  // namespace lockstep
