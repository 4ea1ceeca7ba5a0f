// All-gather: every rank gets every rank's piece. The second half of an all-reduce.
#include <ATen/ATen.h>

#include "collectives/collective.h"

namespace lockstep::collectives {

Collective all_gather(int ranks) {
  Collective collective;
  collective.name = "all_gather";
  collective.algorithm = "backend";
  collective.redop = "none";
  collective.in_pieces = true;
  collective.bus_factor = static_cast<double>(ranks - 1) / ranks;
  collective.allocate = [](comm::ProcessGroup& group, const Shape& shape) -> Buffers {
    return {group.allocate(shape.piece(), at::kFloat),
            group.allocate(shape.elements, at::kFloat)};
  };
  collective.run = [](comm::ProcessGroup& group, const Buffers& buffers) {
    group.all_gather(buffers.recv, buffers.send).wait();
  };
  collective.expected = [](const Shape& shape, int round) {
    std::vector<at::Tensor> pieces;
    for (int rank = 0; rank < shape.ranks; ++rank) {
      pieces.push_back(known_values(rank, shape.piece(), round));
    }
    return at::cat(pieces);
  };
  return collective;
}

}  // namespace lockstep::collectives
