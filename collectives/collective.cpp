#include "collectives/collective.h"

#include <ATen/ATen.h>

#include "registry/registry.h"

namespace lockstep::collectives {

at::Tensor known_values(int rank, int64_t elements, int round) {
  return at::arange(elements, at::kLong)
      .mul_(7)
      .add_(13 * rank + 31 * round)
      .remainder_(251)
      .to(at::kFloat);
}

at::Tensor sum_of_known_values(int ranks, int64_t elements, int round) {
  at::Tensor sum = at::zeros({elements}, at::kFloat);
  for (int rank = 0; rank < ranks; ++rank) {
    sum += known_values(rank, elements, round);
  }
  return sum;
}

Buffers one_buffer(comm::ProcessGroup& group, const Shape& shape) {
  const at::Tensor buffer = group.allocate(shape.elements, at::kFloat);
  return {buffer, buffer};
}

std::vector<std::string> collective_names() {
  return {"all_reduce", "broadcast", "reduce", "reduce_scatter", "all_gather"};
}

Collective make_collective(const std::string& name, const std::string& algorithm,
                           int ranks) {
  if (name == "all_reduce") return all_reduce(ranks, algorithm);
  if (name == "broadcast") return broadcast();
  if (name == "reduce") return reduce();
  if (name == "reduce_scatter") return reduce_scatter(ranks);
  if (name == "all_gather") return all_gather(ranks);
  throw_unknown_name("collective", name, collective_names());
}

}  // namespace lockstep::collectives
