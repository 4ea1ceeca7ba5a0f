// The binomial tree: few messages, each of the whole tensor. In round k a rank whose
// lowest set bit is k sends to the rank without that bit.
#include <ATen/ATen.h>

#include "collectives/all_reduce_algorithms.h"

namespace lockstep::collectives {

void tree_all_reduce(comm::ProcessGroup& group, const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  const int ranks = group.size(), rank = group.rank();
  const at::Tensor came = at::empty_like(tensor);

  // Up: what the ranks below have summed comes in, until it is this rank's turn.
  int distance = 1;
  for (; distance < ranks && (rank & distance) == 0; distance *= 2) {
    if (rank + distance >= ranks) continue;  // nobody there
    group.recv(came, rank + distance).wait();
    tensor.add_(came);
  }
  if (rank != 0) {
    group.send(tensor, rank - distance).wait();
    group.recv(tensor, rank - distance).wait();
  }
  // Down: the sum goes to the same ranks, in the opposite order.
  for (distance /= 2; distance > 0; distance /= 2) {
    if (rank + distance < ranks) group.send(tensor, rank + distance).wait();
  }
}

}  // namespace lockstep::collectives
