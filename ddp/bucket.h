// A bucket: one flat tensor in which the gradients of several parameters lie side by
// side, so that one all_reduce serves them all.
//
// Note [A fresh gradient is copied, not added]
// Before a forward pass gradients are undefined. Backward then makes each a tensor of
// its own, which is copied to its place in the bucket once. Gradients that were views
// of a zeroed bucket from the start would cost more: the zeros are written, then read
// again to be added to.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/process_group.h"
#include "training/options.h"

namespace lockstep::hooks {
class CommHook;
}

namespace lockstep::ddp {

class Bucket {
 public:
  virtual ~Bucket() = default;

  // Takes the parameter's gradient to where it is sent from; zeros where it has none.
  // Says whether it has one. `alone`: nobody else reads or writes its memory.
  virtual bool take(size_t index, bool alone) = 0;
  // The parameter's gradient is what the bucket holds of it, from here on.
  virtual void lend(size_t index) = 0;
  // The same, in a tensor of the gradient's own.
  virtual void give_back(size_t index) = 0;

  // What was taken of all parameters becomes the mean over ranks.
  virtual comm::Work reduce(comm::ProcessGroup& group) = 0;
  // Takes what reduce() began, and whose work was waited for, a stage further: false
  // where it is done. See Note [Later stages start in rounds].
  virtual bool advance() { return false; }
  // What the bucket holds, instead of gradients.
  virtual void fill(double value) = 0;
};

class FlatBucket final : public Bucket {
 public:
  // Memory of the group's, not initialised, for the gradients of `parameters`, which
  // share type and device.
  FlatBucket(std::vector<at::Tensor> parameters, comm::ProcessGroup& group);

  bool take(size_t index, bool alone) override;
  void lend(size_t index) override;
  void give_back(size_t index) override;
  comm::Work reduce(comm::ProcessGroup& group) override;
  void fill(double value) override;

  const at::Tensor& flat() const { return flat_; }  // [elements]
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  const std::vector<at::Tensor>& views() const { return views_; }

 private:
  std::vector<at::Tensor> parameters_;
  at::Tensor flat_;
  std::vector<at::Tensor>
      views_;  // parameters_[i]'s gradient, of its sizes and strides
};

// A bucket without memory: gradients are added up where backward left them, for groups
// that add_in_place(). Saves the copy, and the bucket's bytes.
class ScatteredBucket : public Bucket {
 public:
  explicit ScatteredBucket(std::vector<at::Tensor> parameters);

  bool take(size_t index, bool alone) override;
  void lend(size_t index) override;
  void give_back(size_t index) override { lend(index); }
  comm::Work reduce(comm::ProcessGroup& group) override;
  void fill(double value) override;

 protected:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> taken_;  // undefined once they are sent and lent
  bool sent_ = false;
};

// Instead of giving every rank the mean gradient, for each to take the same step with
// all of it: each rank steps its share of the parameters, and all get the result. The
// optimizer's state is shared out with the work, and the loop's optimizer finds no
// gradient and nothing left to do. Stage 1 of ZeRO (Rajbhandari et al., SC 2020), of
// SGD.
//
// Parameters change while backward still runs, but none that it still needs: their
// gradients are there. (One that it reads past its gradient ends in autograd's error.)
class ShardedBucket final : public ScatteredBucket {
 public:
  ShardedBucket(std::vector<at::Tensor> parameters, comm::ProcessGroup& group,
                const TrainOptions& options);

  void lend(size_t index) override;
  comm::Work reduce(comm::ProcessGroup& group) override;

 private:
  // Parameters that are stepped in one collective, and this rank's share of their
  // momentum.
  struct Part {
    size_t first;  // of parameters_
    std::vector<at::Tensor> parameters;
    at::Tensor momentum;
  };

  std::vector<at::Tensor> gradients_of(const Part& part) const;

  // By messages, one after the other: nothing overlaps.
  void step_by_messages(comm::ProcessGroup& group, const Part& part);

  std::vector<Part> parts_;
  comm::ShardedUpdate::Step step_;
};

// The one that suits the group and the options.
std::unique_ptr<Bucket> make_bucket(std::vector<at::Tensor> parameters,
                                    comm::ProcessGroup& group,
                                    const TrainOptions& options);

// The bucket number `index` of a step, whose gradients the hook brings together.
std::unique_ptr<Bucket> make_hooked_bucket(std::vector<at::Tensor> parameters,
                                           comm::ProcessGroup& group,
                                           hooks::CommHook& hook, size_t index,
                                           bool is_last);

// Which parameters share a bucket, as indices into `parameters`.
using BucketAssignment = std::vector<std::vector<size_t>>;

// Fills buckets in the given order, one type and device a bucket. The parameter that
// brings a bucket to its cap closes it: `first_cap_bytes` for the first of its type,
// `cap_bytes` for the others; so a cap of 0 makes one bucket a parameter. Buckets stand
// in the order in which they are complete. After compute_bucket_assignment_by_size in
// torch/csrc/distributed/c10d/reducer.cpp.
BucketAssignment assign_buckets_in_order(const std::vector<at::Tensor>& parameters,
                                         const std::vector<size_t>& order,
                                         int64_t first_cap_bytes, int64_t cap_bytes);

// In reverse order, for backward makes the last layer's gradients first: the best guess
// before any backward pass was seen. Buckets stand in the order of their first members.
BucketAssignment assign_buckets(const std::vector<at::Tensor>& parameters,
                                int64_t first_cap_bytes, int64_t cap_bytes);

}  // namespace lockstep::ddp
