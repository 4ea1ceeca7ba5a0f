#include "data_parallel/scatter_gather.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

namespace lockstep::data_parallel {

std::vector<at::Tensor> scatter(const at::Tensor& tensor,
                                const std::vector<Card>& cards,
                                device::Category category) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> pieces = tensor.chunk(static_cast<int64_t>(cards.size()));
  for (size_t i = 1; i < pieces.size(); ++i)
    pieces[i] = cards[i].put(pieces[i], category);
  return pieces;
}

at::Tensor gather(const std::vector<at::Tensor>& pieces, const Card& primary) {
  const at::NoGradGuard no_grad;
  const device::AccountScope account(
      {primary.index(), device::Category::gathered_outputs});
  std::vector<int64_t> shape = pieces.front().sizes().vec();
  shape[0] = 0;
  for (const at::Tensor& piece : pieces) shape[0] += piece.size(0);
  at::Tensor gathered =
      at::empty(shape, pieces.front().options().device(primary.torch_device()));
  int64_t row = 0;
  for (const at::Tensor& piece : pieces) {
    gathered.narrow(0, row, piece.size(0)).copy_(piece, /*non_blocking=*/true);
    row += piece.size(0);
  }
  return gathered;
}

}  // namespace lockstep::data_parallel
