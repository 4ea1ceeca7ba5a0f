// The mean over ranks of many tensors, by one collective a type: where the group adds
// in place (shared memory) right where they lie, elsewhere as one flat message, for a
// link's latency is paid once a message.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/process_group.h"

namespace lockstep::averaging {

class RankMean {
 public:
  // Holds the messages' memory. The group outlives it; every rank makes one, of alike
  // tensors in the same order.
  RankMean(const std::vector<at::Tensor>& tensors, comm::ProcessGroup& group);

  // Collective: each tensor becomes its mean over ranks.
  void take();

 private:
  struct Message {                  // of one type
    std::vector<at::Tensor> parts;  // in place: flat views of the tensors
    at::Tensor flat;                // undefined where nothing is copied
  };

  comm::ProcessGroup& group_;
  std::vector<Message> messages_;
};

}  // namespace lockstep::averaging
