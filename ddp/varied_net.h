// A net drawn from a seed for the differential test, with all that the reducers must
// agree about: odd sizes, weights used twice, frozen ones, two types, blocks that a
// rank leaves out of a step, branches that are ready in a rank's own order.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <random>
#include <string>
#include <vector>

namespace lockstep::ddp {

// What a seed says of the net and of how it is trained.
struct Variation {
  explicit Variation(uint64_t from) : seed(from) {
    std::minstd_rand random(static_cast<unsigned>(7919 * seed + 1));
    random.discard(3);
    const auto any = [&](auto... values) {
      const int64_t all[] = {values...};
      return all[random() % sizeof...(values)];
    };
    width = any(1, 3, 7, 16, 33);
    blocks = any(1, 2, 3, 5, 8);
    type = any(0, 1) == 0 ? at::kFloat : at::kDouble;
    two_types = any(0, 0, 1) == 1;
    as_view = any(0, 1) == 1;
    first_cap = any(0, 60, 300, 5000);
    cap = any(0, 100, 700, 4000, 1 << 20);
    longest_delay_us = any(1, 200, 1500);
    find_unused = any(0, 0, 1) == 1;
    static_graph = any(0, 0, 0, 1) == 1;
    left_out = find_unused || static_graph ? any(0, 1) == 1 : false;
    // c10d counts the hooks of a static graph in passes that it does not reduce, too.
    passes = static_graph ? 1 : any(1, 1, 2, 3);
  }

  std::string text() const {
    return "seed " + std::to_string(seed) + (two_types ? ", two types" : "") +
           (as_view ? ", views" : ", copies") + (find_unused ? ", find unused" : "") +
           (static_graph ? ", static" : "") + (left_out ? ", left out" : "") +
           ", caps " + std::to_string(first_cap) + " and " + std::to_string(cap) +
           ", " + std::to_string(passes) + " passes";
  }

  uint64_t seed;
  int64_t width, blocks, passes, first_cap, cap, longest_delay_us;
  at::ScalarType type;
  bool two_types, as_view, find_unused, static_graph;
  bool left_out;  // some blocks are, on some ranks or on all
};

class VariedNet {
 public:
  explicit VariedNet(const Variation& variation) : variation_(variation) {
    std::minstd_rand random(static_cast<unsigned>(variation.seed + 17));
    generator_ = at::detail::createCPUGenerator(variation.seed);
    inputs_ = 1 + static_cast<int64_t>(random() % 29);
    first_ = draw({variation.width, inputs_}, variation.type);
    train(first_);
    const int64_t w = variation.width;
    for (int64_t b = 0; b < variation.blocks; ++b) {
      const at::ScalarType other =
          variation.type == at::kFloat ? at::kDouble : at::kFloat;
      Block block;
      block.type = variation.two_types && random() % 2 == 0 ? other : variation.type;
      block.weight = draw({w, w}, block.type);
      if (random() % 4 == 0) block.weight = block.weight.t();
      block.bias = draw({w}, block.type);
      const uint64_t kind = random() % 6;
      if (kind == 0 && b > 0 && blocks_.back().type == block.type) {
        block.weight = blocks_.back().weight;  // tied
        train(block.bias);
      } else if (kind == 1) {  // its weight is frozen
        train(block.bias);
      } else if (kind == 2) {  // its bias is frozen
        train(block.weight);
      } else {
        train(block.weight);
        train(block.bias);
      }
      blocks_.push_back(block);
    }
  }

  const std::vector<at::Tensor>& parameters() const { return parameters_; }

  at::Tensor batch(int64_t pass, int rank) const {
    const at::Generator random =
        at::detail::createCPUGenerator(static_cast<uint64_t>(1000 * pass + rank));
    return at::randn({3, inputs_}, random, at::TensorOptions().dtype(at::kDouble))
        .to(variation_.type);
  }

  // [n, inputs] -> [n, width]
  at::Tensor forward(int64_t pass, int rank) const {
    const at::Tensor start = at::tanh(at::linear(batch(pass, rank), first_));
    at::Tensor hidden = start;
    for (size_t b = 0; b < blocks_.size(); ++b) {
      if (leaves_out(b, pass, rank)) continue;
      // Every other rank hangs the block onto the start: another order of gradients.
      const bool beside = rank % 2 == 1 && b % 2 == 1;
      hidden = hidden + run(blocks_[b], beside ? start : hidden);
    }
    return hidden;
  }

 private:
  struct Block {
    at::ScalarType type;
    at::Tensor weight, bias;
  };

  at::Tensor draw(at::IntArrayRef shape, at::ScalarType type) const {
    return at::randn(shape, generator_, at::TensorOptions().dtype(at::kDouble))
               .to(type) *
           0.4;
  }
  void train(at::Tensor& parameter) {
    parameters_.push_back(parameter.requires_grad_());
  }
  at::Tensor run(const Block& block, const at::Tensor& input) const {
    return at::tanh(at::linear(input.to(block.type), block.weight, block.bias))
        .to(variation_.type);
  }
  bool leaves_out(size_t block, int64_t pass, int rank) const {
    if (!variation_.left_out) return false;
    const uint64_t step = variation_.static_graph ? 0 : static_cast<uint64_t>(pass);
    const uint64_t who = block % 3 == 0 ? 0 : static_cast<uint64_t>(rank);
    std::minstd_rand random(
        static_cast<unsigned>(1 + block + 31 * step + 1009 * who + variation_.seed));
    random.discard(2);
    return random() % 3 == 0;
  }

  Variation variation_;
  at::Generator generator_;
  int64_t inputs_;
  at::Tensor first_;
  std::vector<Block> blocks_;
  std::vector<at::Tensor> parameters_;
};

}  // namespace lockstep::ddp
