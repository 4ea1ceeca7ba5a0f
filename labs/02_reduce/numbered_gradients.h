// Replicas whose gradients tell which of them are in a sum: replica r's hold 2^r.
#pragma once

#include <ATen/Functions.h>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "device/card.h"
#include "labs/reduce_to_primary.h"

namespace lockstep::labs {

// The same parameters on every card, without gradients.
inline std::vector<Tensors> parameters_on(const std::vector<Card>& cards,
                                          const std::vector<int64_t>& sizes,
                                          at::ScalarType type = at::kDouble) {
  std::vector<Tensors> replicas;
  for (const Card& card : cards) {
    const CardScope scope(card);
    replicas.emplace_back();
    for (const int64_t size : sizes) {
      replicas.back().push_back(at::zeros({size}, type).requires_grad_());
    }
  }
  return replicas;
}

inline void give_gradient(const Tensors& replica, size_t r, size_t i,
                          const Card& card) {
  const CardScope scope(card);
  replica[i].mutable_grad() =
      at::full_like(replica[i], std::ldexp(1, static_cast<int>(r)));
}

inline std::vector<Tensors> replicas_on(const std::vector<Card>& cards,
                                        const std::vector<int64_t>& sizes) {
  std::vector<Tensors> replicas = parameters_on(cards, sizes);
  for (size_t r = 0; r < cards.size(); ++r) {
    for (size_t i = 0; i < sizes.size(); ++i) {
      give_gradient(replicas[r], r, i, cards[r]);
    }
  }
  return replicas;
}

// NaN for a gradient that is not there, or not one number throughout.
inline double value_of(const at::Tensor& parameter) {
  const at::Tensor& grad = parameter.grad();
  if (!grad.defined() || !grad.equal(at::full_like(grad, grad[0].item<double>()))) {
    return std::nan("");
  }
  return grad[0].item<double>();
}

inline std::string shown(double value) {
  std::ostringstream text;
  text << value;
  return std::isnan(value) ? "none, or not one number" : text.str();
}

inline std::string of_replicas(size_t count, double found, double wanted) {
  std::ostringstream text;
  text << count << " replicas with gradients of ";
  for (size_t r = 0; r < count; ++r) text << (r > 0 ? ", " : "") << (1 << r);
  text << ": the primary card's became " << shown(found) << ", not " << wanted;
  return text.str();
}

}  // namespace lockstep::labs
