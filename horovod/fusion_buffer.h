// Where tensors are put side by side to become one collective, and taken apart again
// (horovod/common/fusion_buffer_manager.cc). It has the size that was needed most, in
// the memory from which the group's collectives are quickest.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::horovod {

class FusionBuffer {
 public:
  explicit FusionBuffer(comm::ProcessGroup& group) : group_(group) {}

  // Copies of tensors of one type, their elements one after the other: valid until the
  // next call.
  at::Tensor pack(const std::vector<at::Tensor>& tensors);
  // The other way round.
  static void unpack(const at::Tensor& packed, const std::vector<at::Tensor>& tensors);

 private:
  comm::ProcessGroup& group_;
  std::map<at::ScalarType, at::Tensor> buffers_;
};

}  // namespace lockstep::horovod
