// Recursive halving and doubling: as few bytes as the ring in as few rounds as a tree,
// where the number of ranks is a power of two. Of others some ranks hand their tensor
// to a neighbour first and get the sum in the end.
#include <ATen/ATen.h>

#include <bit>
#include <vector>

#include "collectives/all_reduce_algorithms.h"

namespace lockstep::collectives {
namespace {

struct Range {
  int64_t begin, end;
};

at::Tensor part(const at::Tensor& all, Range range) {
  return all.narrow(0, range.begin, range.end - range.begin);
}

// Among ranks 0 .. power-1 of the exchange, of which this one is `place`.
template <class RankOf>
void exchange(comm::ProcessGroup& group, const at::Tensor& all, unsigned place,
              unsigned power, const RankOf& rank_of) {
  const at::Tensor came = at::empty_like(all);
  std::vector<Range> given;  // the half that went to the partner, by round
  Range mine{0, all.numel()};
  for (unsigned bit = power / 2; bit > 0; bit /= 2) {
    const int64_t middle = (mine.begin + mine.end) / 2;
    const Range lower{mine.begin, middle}, upper{middle, mine.end};
    const bool low = (place & bit) == 0;
    given.push_back(low ? upper : lower);
    mine = low ? lower : upper;
    comm::Work sent = group.send(part(all, given.back()), rank_of(place ^ bit));
    group.recv(part(came, mine), rank_of(place ^ bit)).wait();
    part(all, mine).add_(part(came, mine));
    sent.wait();
  }
  for (unsigned bit = 1; bit < power; bit *= 2) {  // the same partners, backwards
    comm::Work sent = group.send(part(all, mine), rank_of(place ^ bit));
    group.recv(part(all, given.back()), rank_of(place ^ bit)).wait();
    sent.wait();
    mine = {std::min(mine.begin, given.back().begin),
            std::max(mine.end, given.back().end)};
    given.pop_back();
  }
}

}  // namespace

void halving_doubling_all_reduce(comm::ProcessGroup& group, const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  const auto ranks = static_cast<unsigned>(group.size());
  const auto rank = static_cast<unsigned>(group.rank());
  const unsigned power = std::bit_floor(ranks);
  const unsigned extra =
      ranks - power;  // the pairs 0 1, 2 3 .. of which one stands out
  const at::Tensor all = tensor.view({-1});
  if (rank < 2 * extra && rank % 2 == 0) {
    group.send(all, static_cast<int>(rank) + 1).wait();
    group.recv(all, static_cast<int>(rank) + 1).wait();
    return;
  }
  if (rank < 2 * extra) {
    const at::Tensor came = at::empty_like(all);
    group.recv(came, static_cast<int>(rank) - 1).wait();
    all.add_(came);
  }
  exchange(group, all, rank < 2 * extra ? rank / 2 : rank - extra, power,
           [&](unsigned place) {
             return static_cast<int>(place < extra ? 2 * place + 1 : place + extra);
           });
  if (rank < 2 * extra) group.send(all, static_cast<int>(rank) - 1).wait();
}

}  // namespace lockstep::collectives
