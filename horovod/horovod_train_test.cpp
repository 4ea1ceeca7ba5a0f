// The loop on ranks that are threads, against one card that takes the whole batch: with
// each of Horovod's options, and where ranks begin apart. (Whole programs are compared
// in tests/equality.)
#include <gtest/gtest.h>
#include <torch/nn.h>
#include <torch/nn/module.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "horovod/distributed_optimizer.h"
#include "horovod/train.h"
#include "launch/listener.h"
#include "single_gpu/train.h"
#include "tests/engines.h"
#include "tests/error_of.h"
#include "tests/test_folder.h"
#include "training/catalog.h"
#include "training/observer.h"

namespace lockstep::horovod {
namespace {

using Tensors = std::vector<at::Tensor>;

thread_local int this_rank = 0;

// A frozen layer, one that stands there twice, and parameters that no loss depends on.
struct Idle : torch::nn::Module {
  Idle() {
    idle = register_module("idle", torch::nn::Linear(3, 3));
    used = register_module("used", torch::nn::Linear(16, 10));
  }
  at::Tensor forward(const at::Tensor& input) { return used->forward(input); }
  torch::nn::Linear idle{nullptr}, used{nullptr};
};

Network odd_model() {
  torch::nn::Linear frozen(784, 16), tied(16, 16);
  for (at::Tensor& parameter : frozen->parameters()) parameter.requires_grad_(false);
  return Network(torch::nn::Flatten(), frozen, torch::nn::Tanh(), tied,
                 torch::nn::Tanh(), tied, torch::nn::Tanh(), Idle());
}

void add_odd_model() {
  training::models().add("odd", [](const auto& /*inputs*/) {
    torch::manual_seed(static_cast<uint64_t>(this_rank));
    return odd_model();
  });
}

TrainOptions options(const std::string& model) {
  TrainOptions options;
  options.model = model;
  options.dataset = "synthetic";
  options.precision = "fp64";
  options.steps = 6;
  options.batch_size = 24;
  options.lr = 0.05;
  options.momentum = 0.9;
  options.device = "cpu";
  options.threads_per_card = 1;
  return options;
}

class Keep final : public training::StepObserver {
 public:
  Tensors parameters;
  void finished(const torch::nn::Module& model) override {
    for (const at::Tensor& parameter : model.parameters()) {
      parameters.push_back(parameter.detach().clone());
    }
  }
};

struct Trained {
  TrainReport report;
  Tensors parameters;
};

Trained one_card(TrainOptions options) {
  this_rank = 0;
  const auto keep = std::make_shared<Keep>();
  options.observers = {keep};
  const TrainReport report = single_gpu::train(options, launch::on_one_machine(1));
  return {report, keep->parameters};
}

// Rank 0's; all ranks hold the same to the bit.
Trained ranks(int count, TrainOptions options) {
  options.gpus = count;
  options.batch_size /= count;
  launch::Listener listener;
  const int port = listener.port();
  const int store_fd = listener.release();
  std::vector<Trained> all(static_cast<size_t>(count));
  shm::on_threads(count, [&](int rank) {
    this_rank = rank;
    World world = launch::on_one_machine(count);
    world.rank = world.local_rank = rank;
    world.master_port = port;
    if (rank == 0) world.store_fd = store_fd;
    const auto keep = std::make_shared<Keep>();
    TrainOptions mine = options;
    mine.observers = {keep};
    all[static_cast<size_t>(rank)].report = train(mine, world);
    all[static_cast<size_t>(rank)].parameters = keep->parameters;
  });
  for (const Trained& one : all) {
    for (size_t p = 0; p < one.parameters.size(); ++p) {
      EXPECT_TRUE(at::equal(one.parameters[p], all[0].parameters[p])) << p;
    }
  }
  return all[0];
}

double apart(const Trained& a, const Trained& b) {
  double worst = 0;
  if (a.report.losses.size() != b.report.losses.size()) return HUGE_VAL;
  for (size_t i = 0; i < a.report.losses.size(); ++i) {
    worst = std::max(worst, std::abs(a.report.losses[i] / b.report.losses[i] - 1));
  }
  for (size_t p = 0; p < a.parameters.size(); ++p) {
    const double norm = std::max(1e-30, b.parameters[p].norm().item<double>());
    worst = std::max(worst,
                     (a.parameters[p] - b.parameters[p]).norm().item<double>() / norm);
  }
  return worst;
}

TEST(Horovod, TrainsAsOneCardDoes) {
  add_odd_model();
  for (const auto& [model, backend] :
       {std::pair("mlp", "gloo"), {"convnet-plain", "shm"}, {"odd", "shm"}}) {
    const Trained one = one_card(options(model));
    TrainOptions two = options(model);
    two.backend = backend;
    EXPECT_LT(apart(ranks(2, two), one), 1e-10) << model << " over " << backend;
    EXPECT_NE(one.report.losses.back(), one.report.losses.front());
  }
  EXPECT_LT(apart(ranks(3, options("odd")), one_card(options("odd"))), 1e-10);
}

TEST(Horovod, AccumulatesBackwardPasses) {
  TrainOptions passes = options("mlp");
  passes.accumulate = 2;
  passes.batch_size = 12;
  EXPECT_LT(apart(ranks(2, passes), one_card(options("mlp"))), 1e-10);
}

// Twice the mean, at half the rate.
TEST(Horovod, AddsGradientsUp) {
  TrainOptions sum = options("mlp");
  sum.horovod.op = "sum";
  sum.lr /= 2;
  EXPECT_LT(apart(ranks(2, sum), one_card(options("mlp"))), 1e-10);
}

TEST(Horovod, RoundsGradientsToSixteenBits) {
  TrainOptions rounded = options("mlp");
  rounded.horovod.fp16_allreduce = true;
  const double error = apart(ranks(2, rounded), one_card(options("mlp")));
  EXPECT_GT(error, 1e-7) << "nothing was rounded";
  EXPECT_LT(error, 1e-2);
}

TEST(Horovod, GivesTheSameWithoutFusionAndWithoutNumbers) {
  TrainOptions plain = options("convnet-plain");
  plain.horovod.fusion_threshold_mb = 0;
  plain.horovod.cache_capacity = 0;
  plain.horovod.cycle_time_ms = 0;
  EXPECT_LT(apart(ranks(2, plain), one_card(options("convnet-plain"))), 1e-10);
}

TEST(Horovod, RefusesRanksOfDifferentModels) {
  training::models().add("uneven", [](const auto& /*inputs*/) {
    return Network(torch::nn::Flatten(), torch::nn::Linear(784, 10 + this_rank));
  });
  TrainOptions uneven = options("uneven");
  EXPECT_NE(error_of([&] {
              ranks(2, uneven);
            }).find("rank 1 trains another model than rank 0"),
            std::string::npos);
}

TEST(Horovod, LeavesATimelineOfEveryGradient) {
  const TestFolder folder;
  TrainOptions mlp = options("mlp");
  mlp.horovod.timeline_filename = folder / "t.json";
  ranks(2, mlp);
  std::ifstream file(folder / "t.json");
  const nlohmann::json trace = nlohmann::json::parse(file);
  std::map<std::string, int> begun;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.value("name", "") == "process_name") {
      ++begun[event.at("args").at("name")];
    } else if (event.at("ph") == "B") {
      ++begun[event.at("name")];
    }
  }
  EXPECT_EQ(begun["gradient.1.weight"], 1) << "a lane";
  EXPECT_EQ(begun["NEGOTIATE_ALLREDUCE"], 6 * 4) << "six steps of four gradients";
  EXPECT_EQ(begun["ALLREDUCE"], 6 * 4);
  EXPECT_EQ(begun["SHM_ALLREDUCE"], 6 * 4);
}

// A rank that resumed has what the others lack, and only rank 0's counts.
TEST(Horovod, BroadcastsTheOptimizersState) {
  EngineRanks engines;
  engines.size = 3;
  engines.run([](std::unique_ptr<Engine>& engine) {
    const int rank = engine->rank();
    Tensors parameters;
    for (const int64_t size : {3, 5}) {
      parameters.push_back(at::full({size}, rank, at::kDouble).requires_grad_());
    }
    torch::optim::SGD sgd(parameters,
                          torch::optim::SGDOptions(0.1 + rank).momentum(0.9));
    if (rank != 1) {  // which has no momentum at all
      for (size_t p = 0; p < (rank == 0 ? 1U : 2U); ++p) {
        parameters[p].mutable_grad() = at::full_like(parameters[p], 7 + rank).detach();
      }
      sgd.step();
    }
    broadcast_optimizer_state(sgd, *engine);
    const auto& options =
        static_cast<torch::optim::SGDOptions&>(sgd.param_groups().front().options());
    EXPECT_EQ(options.lr(), 0.1);
    const auto& state = static_cast<torch::optim::SGDParamState&>(
        *sgd.state().at(parameters[0].unsafeGetTensorImpl()));
    EXPECT_TRUE(at::equal(state.momentum_buffer(), at::full({3}, 7, at::kDouble)));
    EXPECT_EQ(sgd.state().count(parameters[1].unsafeGetTensorImpl()), 0U);
    engine->shutdown();
  });
}

}  // namespace
}  // namespace lockstep::horovod
