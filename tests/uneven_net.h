// A small net for uneven inputs (ddp/join_test.cpp), with or without batch norm and
// with a head that a pass may leave out; and which rank has how many batches.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/modules/activation.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "model/batch_norm.h"
#include "model/conv.h"
#include "model/linear.h"
#include "model/networks.h"

namespace lockstep::ddp {

using Counts = std::vector<int>;  // batches of each rank
using Tensors = std::vector<at::Tensor>;

enum class Kind { kPlain, kUnused, kNorm, kSyncNorm };

struct Case {
  Kind kind;
  std::vector<Counts> epochs;
  int64_t cap_bytes;
  bool by_initial;
  std::string backend;

  int ranks() const { return static_cast<int>(epochs.front().size()); }
  bool has_norm() const { return kind == Kind::kNorm || kind == Kind::kSyncNorm; }
};

// Which batch: of a rank, the number of passes before it counted over all epochs.
struct Place {
  int rank;
  int pass;
};

// Two heads, of which a pass may leave one out; batch norm or none in the trunk.
struct Net {
  explicit Net(const Case& of) : kind(of.kind) {
    trunk = Network(model::Conv(2, 3, 3, 1, true));
    if (of.has_norm()) trunk->push_back(model::BatchNorm(3));
    trunk->push_back(torch::nn::ReLU());
    trunk->push_back(torch::nn::Flatten());
    trunk->push_back(model::Linear(3 * 16, 6));
    heads = {Network(model::Linear(6, 3)), Network(model::Linear(6, 3))};
    for (Network& part : parts()) part->to(at::kDouble);
  }
  std::vector<Network> parts() const { return {trunk, heads[0], heads[1]}; }
  Tensors parameters() const {
    Tensors all;
    for (const Network& part : parts()) {
      for (const at::Tensor& one : part->parameters()) all.push_back(one);
    }
    return all;
  }
  Tensors buffers() const { return trunk->buffers(); }

  bool uses(int head, const Place& at) const {
    if (kind != Kind::kUnused || head == 0) return true;
    return at.pass % 3 != 1 && (at.rank + at.pass) % 2 == 0;
  }
  at::Tensor forward(const at::Tensor& images, const Place& at) {
    const at::Tensor hidden = trunk->forward(images).tanh();
    at::Tensor out = heads[0]->forward(hidden);
    if (uses(1, at)) out = out + heads[1]->forward(hidden);
    return out;
  }

  Kind kind;
  Network trunk{nullptr};
  std::vector<Network> heads;
};

inline at::Tensor batch_of(const Place& at) {
  const auto random = at::detail::createCPUGenerator(
      static_cast<uint64_t>(1000 * (at.pass + 1) + at.rank));
  return at::randn({1 + (at.pass + 2 * at.rank) % 4, 2, 4, 4}, random,
                   at::TensorOptions().dtype(at::kDouble));
}

inline at::Tensor loss_of(const at::Tensor& output) { return output.pow(2).mean(); }

}  // namespace lockstep::ddp
