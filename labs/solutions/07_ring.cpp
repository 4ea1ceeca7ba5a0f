// Lab 7: the ring, written out.
#include <ATen/Functions.h>

#include <vector>

#include "labs/ring.h"

namespace {

using namespace lockstep;

void ring_all_reduce(const at::Tensor& tensor, comm::ProcessGroup& group) {
  const int ranks = group.size(), rank = group.rank();
  const int next = (rank + 1) % ranks, before = (rank + ranks - 1) % ranks;

  const at::Tensor line = tensor.view({-1});
  std::vector<at::Tensor> pieces;
  for (int i = 0; i < ranks; ++i) {
    const int64_t begin = line.numel() * i / ranks;
    const int64_t end = line.numel() * (i + 1) / ranks;
    pieces.push_back(line.narrow(0, begin, end - begin));
  }
  const auto piece = [&](int number) { return pieces.at((number + ranks) % ranks); };

  // Both at once: a send may last until the other side receives.
  const auto exchange = [&](const at::Tensor& out, const at::Tensor& in) {
    comm::Work sent = group.send(out, next);
    group.recv(in, before).wait();
    sent.wait();
  };

  for (int step = 0; step < ranks - 1; ++step) {
    const at::Tensor mine = piece(rank - step - 1);
    const at::Tensor theirs = at::empty_like(mine);
    exchange(piece(rank - step), theirs);
    mine.add_(theirs);
  }
  // Piece rank + 1 is the whole sum here; they go round once more as they are.
  for (int step = 0; step < ranks - 1; ++step) {
    exchange(piece(rank - step + 1), piece(rank - step));
  }
}

const labs::Registered student(labs::ring_all_reduces(), "student", &ring_all_reduce);

}  // namespace
