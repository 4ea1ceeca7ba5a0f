// Broadcast from rank 0, in place: every byte comes to every other rank once.
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "collectives/collective.h"

namespace lockstep::collectives {

Collective broadcast() {
  Collective collective;
  collective.name = "broadcast";
  collective.algorithm = "backend";
  collective.redop = "none";
  collective.allocate = &one_buffer;
  collective.run = [](comm::ProcessGroup& group, const Buffers& buffers) {
    // Not group.broadcast(): that packs many tensors into a message first.
    std::vector<at::Tensor> tensors = {buffers.send};
    group.backend()->broadcast(tensors, c10d::BroadcastOptions())->wait();
  };
  collective.expected = [](const Shape& shape, int round) {
    return known_values(/*rank=*/0, shape.elements, round);
  };
  return collective;
}

}  // namespace lockstep::collectives
