#include "model/sync_batch_norm.h"

#include <torch/autograd.h>
#include <torch/custom_class.h>

#include <algorithm>

#include "model/batch_norm.h"
#include "model/batch_norm_passes.h"

namespace lockstep::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// From the forward pass to the backward pass.
struct Kept : torch::CustomClassHolder {
  SumOverRanks sum;
  double count;
  double eps;
};

struct Moments {
  double count;              // values a channel
  at::Tensor mean, squares;  // fp64; squared distances from the mean, summed
};

// Squares around this rank's own mean are moved to a point that all ranks share, the
// running mean, and added there; around 0 they would be all rounding where the mean is
// far from it. What moving them costs in fp64 is below what fp32 images are worth.
Moments over_ranks(const at::Tensor& local, int64_t rows, const at::Tensor& shared,
                   const SumOverRanks& sum) {
  if (!sum) return {static_cast<double>(rows), local[0], local[1]};
  const int64_t channels = local.size(1);
  const at::Tensor origin = shared.to(at::kDouble);
  const at::Tensor apart = local[0] - origin;
  const at::Tensor first = apart * rows;
  const at::Tensor sums =
      at::cat({first, local[1] + first * apart, first.new_full({1}, rows)});
  sum(sums);
  const auto count = sums[2 * channels].item<double>();
  const at::Tensor mean = sums.narrow(0, 0, channels) / std::max(count, 1.0);
  const at::Tensor squares = sums.narrow(0, channels, channels);
  return {count, mean + origin, (squares - mean * mean * count).clamp_min(0)};
}

class Norm : public torch::autograd::Function<Norm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& images,
                            const at::Tensor& weight, const at::Tensor& bias,
                            const NormState& state, const SumOverRanks& sum) {
    const at::Tensor local = batch_norm::moments(images, weight);
    const Moments found =
        over_ranks(local, batch_norm::rows_of(images), state.running_mean, sum);
    auto kept = c10::make_intrusive<Kept>();
    kept->sum = sum;
    kept->count = found.count;
    kept->eps = state.eps;
    TORCH_CHECK(found.count != 1,
                "Expected more than 1 value per channel when training, and all ranks "
                "together have 1; give them more images");
    if (found.count > 0) {
      const at::ScalarType type = state.running_mean.scalar_type();
      const double left = 1 - state.momentum;
      const at::Tensor unbiased = found.squares / (found.count - 1);
      at::Tensor(state.running_mean)
          .mul_(left)
          .add_(found.mean.to(type), state.momentum);
      at::Tensor(state.running_var).mul_(left).add_(unbiased.to(type), state.momentum);
    }
    const batch_norm::Scale scale = {found.mean.to(images.scalar_type()),
                                     found.squares / std::max(found.count, 1.0), weight,
                                     state.eps};
    context->save_for_backward({images, weight, scale.mean, scale.variance});
    context->saved_data["kept"] = c10::IValue::make_capsule(std::move(kept));
    return batch_norm::normalise(images, scale, bias);
  }

  static variable_list backward(AutogradContext* context,
                                const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& images = saved[0];
    const auto kept = c10::static_intrusive_pointer_cast<Kept>(
        context->saved_data["kept"].toCapsule());
    const batch_norm::Scale scale = {saved[2], saved[3], saved[1], kept->eps};
    at::Tensor sums = batch_norm::gradient_sums(gradients[0], images, scale);
    const at::Tensor inverse = scale.inverse().to(at::kDouble);
    variable_list wanted(5);
    wanted[1] = (sums[1] * inverse).to(images.scalar_type());
    wanted[2] = sums[0].to(images.scalar_type());
    if (!context->needs_input_grad(0)) return wanted;
    if (kept->sum) {
      sums = sums.clone();  // this rank's own are the bias's gradient
      kept->sum(sums);
    }
    if (images.numel() == 0) {
      wanted[0] = at::empty_like(images);
      return wanted;
    }
    wanted[0] =
        batch_norm::input_gradient(gradients[0], images, scale, sums[0] / kept->count,
                                   sums[1] * inverse * inverse / kept->count);
    return wanted;
  }
};

}  // namespace

at::Tensor batch_norm_in_training(const at::Tensor& images, const NormState& state,
                                  const SumOverRanks& sum) {
  return Norm::apply(images, state.weight, state.bias, state, sum);
}

int64_t sync_batch_norms(const torch::nn::Module& network, const SumOverRanks& sum) {
  int64_t layers = 0;
  for (const auto& module : network.modules()) {
    if (auto* norm = module->as<BatchNorm>()) {
      norm->sync(sum);
      ++layers;
    }
  }
  return layers;
}

}  // namespace lockstep::model
