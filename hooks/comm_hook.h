// What DDP sends for a bucket of gradients, as a part that can be exchanged. A hook
// sees a bucket when its last gradient is there, and leaves the mean over ranks in it,
// or what stands for the mean. After c10d::GradBucket and CommHookInterface
// (torch/csrc/distributed/c10d/comm.hpp), without futures: the reducer says when to
// wait.
//
// Not how buckets are filled, and not when a hook is called: ddp/bucketed_reducer.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::hooks {

class GradBucket {
 public:
  GradBucket(size_t index, bool is_last, at::Tensor buffer,
             std::vector<at::Tensor> gradients, std::vector<at::Tensor> parameters)
      : index_(index),
        is_last_(is_last),
        buffer_(std::move(buffer)),
        gradients_(std::move(gradients)),
        parameters_(std::move(parameters)) {}

  // Its place in the order in which buckets are launched, on all ranks alike. Not its
  // name: buckets are assigned anew once, so what a hook remembers it remembers by
  // parameter.
  size_t index() const { return index_; }
  bool is_last() const { return is_last_; }  // of this step

  // [elements] This rank's gradients, side by side: what a hook reads, and writes the
  // result to.
  const at::Tensor& buffer() const { return buffer_; }
  // The same memory: gradients()[i] is parameters()[i]'s, in its shape. Dense.
  const std::vector<at::Tensor>& gradients() const { return gradients_; }
  // To be told apart. Their .grad() may be the buffer's or not.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }

 private:
  size_t index_;
  bool is_last_;
  at::Tensor buffer_;
  std::vector<at::Tensor> gradients_;
  std::vector<at::Tensor> parameters_;
};

// A bucket that is being reduced: one collective, or several that build on each other.
class Reduction {
 public:
  virtual ~Reduction() = default;

  // Waits for the collective under way, and starts the next one: true. False where
  // there is none: the bucket's buffer then holds the result. Called until then, on the
  // thread of the loop.
  virtual bool advance() = 0;
};

class CommHook {
 public:
  virtual ~CommHook() = default;

  // Starts the bucket's first collective, and exactly one, on the thread of the
  // backward pass: buckets in the order of their index, each once a step, the same on
  // all ranks. The bucket outlives the reduction; nobody else touches its buffer until
  // then.
  virtual std::unique_ptr<Reduction> start(const GradBucket& bucket,
                                           comm::ProcessGroup& group) = 0;
};

}  // namespace lockstep::hooks
