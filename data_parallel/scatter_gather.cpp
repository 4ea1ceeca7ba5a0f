#include "data_parallel/scatter_gather.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "device/stage.h"

namespace lockstep::data_parallel {
namespace {

// `rows` in `count` pieces, as Tensor.chunk cuts them: all but the last alike.
void add_chunks(Rows& pieces, int64_t rows, int64_t count) {
  if (rows == 0) return;
  const int64_t most = (rows + count - 1) / count;
  for (; rows > 0; rows -= most) pieces.push_back(std::min(rows, most));
}

int64_t first_row(const Rows& rows, size_t replica) {
  return std::accumulate(rows.begin(), rows.begin() + static_cast<int64_t>(replica),
                         int64_t{0});
}

// A number as the one row that it is.
at::Tensor as_row(const at::Tensor& piece) {
  return piece.dim() == 0 ? piece.unsqueeze(0) : piece;
}

// Room for all pieces of the i-th output, which have one shape but for their rows.
at::Tensor room_for(const std::vector<Tensors>& pieces, size_t i, int64_t dim,
                    const Card& card) {
  const at::Tensor first = as_row(pieces.front()[i]);
  std::vector<int64_t> shape = first.sizes().vec();
  auto& rows = shape.at(static_cast<size_t>(c10::maybe_wrap_dim(dim, first.dim())));
  for (size_t replica = 1; replica < pieces.size(); ++replica) {
    const at::Tensor piece = as_row(pieces[replica][i]);
    std::vector<int64_t> other = piece.sizes().vec();
    if (piece.dim() == first.dim()) {
      auto& more = other[static_cast<size_t>(c10::maybe_wrap_dim(dim, first.dim()))];
      rows += std::exchange(more, first.size(dim));
    }
    TORCH_CHECK(other == first.sizes(), "replica ", replica, "'s output ", i,
                " has the shape ", piece.sizes(), " and replica 0's ", first.sizes(),
                "; they must differ in dimension ", dim, " alone");
  }
  return at::empty(shape, first.options()
                              .device(card.torch_device())
                              .memory_format(first.suggest_memory_format()));
}

}  // namespace

Rows shares(int64_t rows, size_t cards, double primary_share) {
  const auto count = static_cast<int64_t>(cards);
  Rows pieces;
  if (rows == 0) {
    pieces.push_back(0);
  } else if (primary_share >= 1 || count == 1) {
    add_chunks(pieces, rows, count);
  } else {
    const double part = primary_share * static_cast<double>(rows) / cards;
    pieces.push_back(std::max<int64_t>(1, std::llround(part)));
    add_chunks(pieces, rows - pieces[0], count - 1);
  }
  return pieces;
}

Tensors scatter(const Tensors& tensors, const std::vector<Rows>& rows, size_t card,
                const Route& route, device::Category category) {
  const device::StageScope stage("scatter");
  const at::NoGradGuard no_grad;
  const Card& here = route.cards[card];
  Tensors pieces(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (!tensors[i].defined()) continue;
    const at::Tensor view =
        tensors[i].narrow(route.dim, first_row(rows[i], card), rows[i][card]);
    pieces[i] = here.index() == route.whole.index() ? view : here.put(view, category);
  }
  return pieces;
}

std::vector<Rows> rows_of(const std::vector<Tensors>& pieces, int64_t dim) {
  std::vector<Rows> rows(pieces.front().size());
  for (const Tensors& of_replica : pieces) {
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].push_back(as_row(of_replica[i]).size(dim));
    }
  }
  return rows;
}

Tensors gather(const std::vector<Tensors>& pieces, const Route& route) {
  const size_t outputs = pieces.front().size();
  for (size_t replica = 1; replica < pieces.size(); ++replica) {
    TORCH_CHECK(pieces[replica].size() == outputs, "replica ", replica, " has ",
                pieces[replica].size(), " outputs and replica 0 has ", outputs,
                "; all must have as many");
  }
  Tensors gathered;
  {
    const device::AccountScope account(
        {route.whole.index(), device::Category::gathered_outputs});
    for (size_t i = 0; i < outputs; ++i) {
      gathered.push_back(room_for(pieces, i, route.dim, route.whole));
    }
  }
  const std::vector<Rows> rows = rows_of(pieces, route.dim);
  route.threads.run(pieces.size(), [&](size_t replica) {
    const device::StageScope stage("gather");
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < gathered.size(); ++i) {
      gathered[i]
          .narrow(route.dim, first_row(rows[i], replica), rows[i][replica])
          .copy_(as_row(pieces[replica][i]), /*non_blocking=*/true);
    }
  });
  return gathered;
}

}  // namespace lockstep::data_parallel
