// What a rank shows of a collective before it takes part: enough to tell whether all
// ranks mean the same one, and in what they differ. Not the numbers themselves.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

namespace lockstep::fingerprint {

struct Fingerprint {
  struct Shape {
    std::string sizes;  // "[64, 10]", and "strides [1, 64]" where not contiguous
    std::string type;   // "Float", "Float on cuda"
    bool operator==(const Shape&) const = default;
  };

  std::string collective;  // "all_reduce"
  std::string reduction;   // "sum"; empty: it has none
  std::string root;        // "0"; empty: it has none
  std::vector<Shape> tensors;
  bool operator==(const Fingerprint&) const = default;

  Fingerprint& of(const at::Tensor& tensor);
  Fingerprint& of(const std::vector<at::Tensor>& all);
};

// As it is shown to the others.
std::string to_text(const Fingerprint& fingerprint);
Fingerprint fingerprint_from(const std::string& text);

// "all_reduce of [5120] Float, sum"; of many tensors their number.
std::string describe(const Fingerprint& fingerprint);

// "rank 3", or several: "ranks 0, 3".
std::string list_of(const std::vector<int>& ranks);

// nullopt: all ranks' are equal. Else who differs from most of them, and in what first:
// "rank 2 calls broadcast of [10] Float from root 0, the others all_reduce of [5120]
// Float, sum; they differ in the collective". Where no call is that of most ranks, all
// are named. Those of ranks that did not come are nullopt.
std::optional<std::string> disagreement(
    const std::vector<std::optional<Fingerprint>>& of_ranks);

}  // namespace lockstep::fingerprint
