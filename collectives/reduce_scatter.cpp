// Reduce-scatter: each rank gets the sum of its piece. The first half of an all-reduce.
#include "collectives/collective.h"

namespace lockstep::collectives {

Collective reduce_scatter(int ranks) {
  Collective collective;
  collective.name = "reduce_scatter";
  collective.algorithm = "backend";
  collective.redop = "sum";
  collective.in_pieces = true;
  collective.bus_factor = static_cast<double>(ranks - 1) / ranks;
  collective.allocate = [](comm::ProcessGroup& group, const Shape& shape) -> Buffers {
    return {group.allocate(shape.elements, at::kFloat),
            group.allocate(shape.piece(), at::kFloat)};
  };
  collective.run = [](comm::ProcessGroup& group, const Buffers& buffers) {
    group.reduce_scatter(buffers.recv, buffers.send).wait();
  };
  collective.expected = [](const Shape& shape, int round) {
    return sum_of_known_values(shape.ranks, shape.elements, round)
        .narrow(0, shape.rank * shape.piece(), shape.piece());
  };
  return collective;
}

}  // namespace lockstep::collectives
