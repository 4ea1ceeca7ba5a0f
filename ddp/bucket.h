// A bucket: one flat tensor in which the gradients of several parameters lie side by
// side, so that one all_reduce serves them all.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lockstep::ddp {

class Bucket {
 public:
  // Zeroed memory for the gradients of `parameters`, which share type and device.
  explicit Bucket(std::vector<at::Tensor> parameters);

  // Makes each parameter's gradient its view of this bucket, and all of them zero.
  void zero_grad();

  // Brings back a gradient that somebody replaced by a tensor of his own: copies it in.
  void recapture(size_t index);

  const at::Tensor& flat() const { return flat_; }  // [elements]
  const std::vector<at::Tensor>& parameters() const { return parameters_; }

 private:
  std::vector<at::Tensor> parameters_;
  at::Tensor flat_;
  std::vector<at::Tensor>
      views_;  // parameters_[i]'s gradient, of its sizes and strides
};

// Which parameters share a bucket, as indices into `parameters`. In reverse order, for
// backward makes the last layer's gradients first; one type a bucket. The parameter
// that brings a bucket to its cap closes it: `first_cap_bytes` for the first,
// `cap_bytes` for the others. A cap of 0 makes one bucket a parameter. After
// compute_bucket_assignment_by_size in torch/csrc/distributed/c10d/reducer.cpp.
std::vector<std::vector<size_t>> assign_buckets(
    const std::vector<at::Tensor>& parameters, int64_t first_cap_bytes,
    int64_t cap_bytes);

}  // namespace lockstep::ddp
