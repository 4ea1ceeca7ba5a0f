#include "data_parallel/flat_tensors.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/strides.h>

#include <unordered_map>

namespace lockstep::data_parallel {
namespace {

constexpr int64_t kAlignment = 64;

std::vector<int64_t> strides_of(const at::Tensor& tensor) {
  if (tensor.is_non_overlapping_and_dense()) return tensor.strides().vec();
  const c10::DimVector strides = c10::contiguous_strides(tensor.sizes());
  return {strides.begin(), strides.end()};
}

}  // namespace

Tensors state_of(const torch::nn::Module& module) {
  Tensors state = module.parameters();
  const Tensors buffers = module.buffers();
  state.insert(state.end(), buffers.begin(), buffers.end());
  return state;
}

FlatLayout::FlatLayout(const Tensors& state) {
  std::unordered_map<const void*, int64_t> offsets;  // of tied ones
  for (const at::Tensor& tensor : state) {
    const auto [known, fresh] = offsets.emplace(tensor.unsafeGetTensorImpl(), bytes_);
    places_.push_back({known->second, tensor.sizes().vec(), strides_of(tensor),
                       tensor.scalar_type()});
    if (!fresh) continue;
    const auto bytes = static_cast<int64_t>(tensor.nbytes());
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
}

at::Tensor FlatLayout::flatten(const Tensors& state) const {
  const at::NoGradGuard no_grad;
  if (state.empty()) return {};
  at::Tensor flat =
      at::empty({bytes_}, at::TensorOptions(at::kByte).device(state.front().device()));
  for (size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    const auto width = static_cast<int64_t>(c10::elementSize(place.type));
    const at::Tensor view =
        flat.narrow(0, 0, bytes_ / width * width)
            .view(place.type)
            .as_strided(place.sizes, place.strides, place.offset / width);
    view.copy_(state[i]);
    at::Tensor tensor = state[i];
    tensor.set_data(view);
  }
  return flat;
}

bool FlatLayout::lies_in(const at::Tensor& flat, const Tensors& state) const {
  if (state.size() != places_.size()) return false;
  for (size_t i = 0; i < places_.size(); ++i) {
    if (state[i].numel() == 0) continue;  // it lies nowhere
    const auto* wanted =
        static_cast<const char*>(flat.const_data_ptr()) + places_[i].offset;
    if (state[i].const_data_ptr() != wanted || state[i].strides() != places_[i].strides)
      return false;
  }
  return true;
}

}  // namespace lockstep::data_parallel
