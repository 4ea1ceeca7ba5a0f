// The student's layer in a net that ddp::train() trains on simulated ranks, beside
// LibTorch's in the same net on one card.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "labs/10_sync_batch_norm/checks.h"
#include "labs/graders/simulated_training.h"
#include "labs/graders/small_run.h"
#include "single_gpu/train.h"

namespace lockstep::labs {
namespace {

constexpr int kRanks = 3;
constexpr int64_t kGlobalBatch = 24;

SumOverRanks sum_of_this_rank() {
  simulator::Rank& rank = *simulator::this_rank();
  return {rank.rank(), rank.size(), [&rank](const at::Tensor& own) {
            const at::Tensor all = own.detach().clone(at::MemoryFormat::Contiguous);
            rank.group().all_reduce(all).wait();
            return all;
          }};
}

// Where autograd calls the student.
struct OverRanks : torch::autograd::Function<OverRanks> {
  using Context = torch::autograd::AutogradContext;

  static at::Tensor forward(Context* context, const at::Tensor& x,
                            const at::Tensor& /*weight*/, const at::Tensor& /*bias*/,
                            const BatchNormLayer& layer) {
    Tensors kept;
    at::Tensor y =
        sync_batch_norms().at("student")().forward(x, layer, sum_of_this_rank(), kept);
    context->save_for_backward(kept);
    context->saved_data["weight"] = layer.weight;
    context->saved_data["bias"] = layer.bias;
    context->saved_data["eps"] = layer.eps;
    return y;
  }

  static torch::autograd::variable_list backward(
      Context* context, const torch::autograd::variable_list& dy) {
    BatchNormLayer layer;
    layer.weight = context->saved_data["weight"].toTensor();
    layer.bias = context->saved_data["bias"].toTensor();
    layer.eps = context->saved_data["eps"].toDouble();
    const BatchNormGradients gradients = sync_batch_norms().at("student")().backward(
        dy[0], layer, sum_of_this_rank(), context->get_saved_variables());
    return {gradients.x, gradients.weight, gradients.bias, {}};
  }
};

class StudentsBatchNormImpl
    : public torch::nn::BatchNormImplBase<2, StudentsBatchNormImpl> {
 public:
  explicit StudentsBatchNormImpl(int64_t channels)
      : BatchNormImplBase(torch::nn::BatchNormOptions(channels)) {}

  at::Tensor forward(const at::Tensor& x) {
    const BatchNormLayer layer = {weight.detach(), bias.detach(), running_mean,
                                  running_var,     options.eps(), *options.momentum(),
                                  is_training()};
    if (layer.training) return OverRanks::apply(x, weight, bias, layer);
    Tensors kept;
    return sync_batch_norms().at("student")().forward(x, layer, silent(), kept);
  }

 protected:
  void _check_input_dim(const at::Tensor& /*input*/) override {}

 private:
  static SumOverRanks silent() {
    return {0, 1, [](const at::Tensor&) -> at::Tensor {
              refuse("sends_in_evaluation", "it calls sum_over_ranks in evaluation");
            }};
  }
};
TORCH_MODULE(StudentsBatchNorm);

template <class BatchNorm>
Network small_net(const model::Inputs& inputs) {
  using namespace torch::nn;
  return Network(Conv2d(Conv2dOptions(inputs.channels, 4, 5).stride(4).bias(false)),
                 BatchNorm(4), ReLU(),
                 Conv2d(Conv2dOptions(4, 6, 3).stride(2).bias(false)), BatchNorm(6),
                 ReLU(), Flatten(), Linear(24, inputs.classes));
}

World world_of(int rank) {
  World world;
  world.rank = world.local_rank = rank;
  world.world_size = world.local_world_size = kRanks;
  return world;
}

}  // namespace

void check_training(uint64_t seed) {
  training::models().add("students", small_net<StudentsBatchNorm>);
  training::models().add("one-cards", small_net<torch::nn::BatchNorm2d>);
  TrainOptions run = small_run(seed, /*samples=*/2 * kGlobalBatch);
  run.eval = true;
  run.model = "one-cards";
  run.batch_size = kGlobalBatch;
  const TrainReport one = single_gpu::train(run, {});
  run.model = "students";
  run.gpus = kRanks;
  run.batch_size = kGlobalBatch / kRanks;
  predict::Cluster cluster;
  cluster.cards_per_host = kRanks;
  cluster.inside = predict::link_named("pcie");
  const TrainReport found = train_simulated(run, kRanks, cluster, world_of);
  expect_losses(found, one, misconception("not_one_cards_losses"));
  // Each rank reports what all of them counted.
  if (found.accuracy() == one.accuracy()) return;
  refuse("not_one_cards_losses",
         "in the end it knows " + std::to_string(found.correct / kRanks) + " of " +
             std::to_string(found.evaluated / kRanks) + " samples, one card " +
             std::to_string(one.correct));
}

}  // namespace lockstep::labs
