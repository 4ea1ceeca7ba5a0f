// Brings the ranks' gradients together: after finalize() every rank holds their mean.
// It owns the gradients' memory, so that they can lie where they are sent from.
//
// A step calls, on the loop's thread: zero_grad(), the forward pass, prepare(), the
// backward pass, finalize(). Nothing else is on this interface.
//
// Where gradients are accumulated over several such passes, all but the last stay
// local: nothing is sent, and zero_grad() leaves the gradients alone. The reducer
// counts the passes itself.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace lockstep::ddp {

class Reducer {
 public:
  virtual ~Reducer() = default;

  // Before the forward pass: gradients that the last step is done with are undefined.
  virtual void zero_grad() = 0;

  // After the forward pass: a backward pass from `logits` will follow.
  virtual void prepare(const at::Tensor& logits) = 0;

  // After the backward pass: returns when every gradient is the mean over ranks.
  virtual void finalize() = 0;
};

using ReducerPtr = std::unique_ptr<Reducer>;

}  // namespace lockstep::ddp
