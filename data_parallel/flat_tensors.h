// A module's parameters and buffers in one piece of memory, so that a copy of the
// module is refreshed by one copy. (PyTorch's broadcast_coalesced,
// torch/csrc/cuda/comm.cpp, makes such pieces anew for every broadcast.)
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <vector>

namespace lockstep::data_parallel {

using Tensors = std::vector<at::Tensor>;

// A module's parameters, then its buffers, in the order of its layers. What stands in
// it twice is listed twice.
Tensors state_of(const torch::nn::Module& module);

// Where each tensor of a module's state stands in the piece: of any type, each at a
// place that suits vector instructions, a tied one at the place of its first. Channels
// innermost stay innermost.
class FlatLayout {
 public:
  explicit FlatLayout(const Tensors& state);

  // Moves the tensors of a module of this kind into new memory, allocated on the device
  // of the first and charged to the calling thread's account; from here on they are
  // views of it.
  at::Tensor flatten(const Tensors& state) const;

  // Whether they still are: a module can be given other tensors.
  bool lies_in(const at::Tensor& flat, const Tensors& state) const;

 private:
  struct Place {
    int64_t offset;  // bytes
    std::vector<int64_t> sizes;
    std::vector<int64_t> strides;
    at::ScalarType type;
  };
  std::vector<Place> places_;
  int64_t bytes_ = 0;
};

}  // namespace lockstep::data_parallel
