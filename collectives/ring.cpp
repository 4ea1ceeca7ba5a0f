// The ring: 2(n-1) steps, in each of which every rank sends one of n pieces to the next
// rank and receives one from the rank before: all links are busy all the time.
#include <ATen/ATen.h>

#include "collectives/all_reduce_algorithms.h"

namespace lockstep::collectives {

void ring_all_reduce(comm::ProcessGroup& group, const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  const int ranks = group.size(), rank = group.rank();
  if (ranks == 1) return;
  const int next = (rank + 1) % ranks, before = (rank + ranks - 1) % ranks;
  const at::Tensor all = tensor.view({-1});
  // Piece `number`, counted round the ring. Pieces differ by one element at most, and
  // are empty where there are more ranks than elements.
  const auto piece = [&](int number) {
    const int64_t i = (number + 2 * ranks) % ranks;
    const int64_t begin = i * all.numel() / ranks;
    return all.narrow(0, begin, (i + 1) * all.numel() / ranks - begin);
  };

  // Reduce-scatter: piece p starts at rank p and comes round to rank p - 1, which then
  // has the sum.
  const at::Tensor came = at::empty_like(piece(ranks - 1));  // a largest one
  for (int step = 0; step < ranks - 1; ++step) {
    const at::Tensor mine = piece(rank - step - 1);
    const at::Tensor theirs = came.narrow(0, 0, mine.numel());
    comm::Work sent = group.send(piece(rank - step), next);
    group.recv(theirs, before).wait();
    mine.add_(theirs);
    sent.wait();
  }
  // All-gather: the sums go round once more.
  for (int step = 0; step < ranks - 1; ++step) {
    comm::Work sent = group.send(piece(rank + 1 - step), next);
    group.recv(piece(rank - step), before).wait();
    sent.wait();
  }
}

}  // namespace lockstep::collectives
