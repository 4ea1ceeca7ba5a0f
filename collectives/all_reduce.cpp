// All-reduce, by the backend or out of messages (collectives/all_reduce_algorithms.h).
// A rank must send 2(n-1)/n of its buffer, whatever the algorithm.
#include <map>

#include "collectives/all_reduce_algorithms.h"
#include "collectives/collective.h"
#include "registry/registry.h"

namespace lockstep::collectives {
namespace {

using Algorithm = void (*)(comm::ProcessGroup&, const at::Tensor&);

const std::map<std::string, Algorithm>& algorithms() {
  static const std::map<std::string, Algorithm> known = {
      {"backend", [](comm::ProcessGroup& group,
                     const at::Tensor& tensor) { group.all_reduce(tensor).wait(); }},
      {"ring", &ring_all_reduce},
      {"tree", &tree_all_reduce},
      {"halving-doubling", &halving_doubling_all_reduce}};
  return known;
}

}  // namespace

std::vector<std::string> algorithm_names() {
  std::vector<std::string> names;
  for (const auto& [name, unused] : algorithms()) names.push_back(name);
  return names;
}

Collective all_reduce(int ranks, const std::string& algorithm) {
  const auto found = algorithms().find(algorithm);
  if (found == algorithms().end()) {
    throw_unknown_name("algorithm", algorithm, algorithm_names());
  }
  Collective collective;
  collective.name = "all_reduce";
  collective.algorithm = algorithm;
  collective.redop = "sum";
  collective.bus_factor = 2.0 * (ranks - 1) / ranks;
  collective.allocate = &one_buffer;
  collective.run = [sum = found->second](comm::ProcessGroup& group,
                                         const Buffers& buffers) {
    sum(group, buffers.send);
  };
  collective.expected = [](const Shape& shape, int round) {
    return sum_of_known_values(shape.ranks, shape.elements, round);
  };
  return collective;
}

}  // namespace lockstep::collectives
