#include "horovod/fusion_buffer.h"

namespace lockstep::horovod {
namespace {

// Calls `copy` with each tensor and its place.
template <class Copy>
void for_each_place(const at::Tensor& packed, const std::vector<at::Tensor>& tensors,
                    const Copy& copy) {
  int64_t offset = 0;
  for (const at::Tensor& tensor : tensors) {
    copy(tensor, packed.narrow(0, offset, tensor.numel()).view(tensor.sizes()));
    offset += tensor.numel();
  }
}

}  // namespace

at::Tensor FusionBuffer::pack(const std::vector<at::Tensor>& tensors) {
  int64_t elements = 0;
  for (const at::Tensor& tensor : tensors) elements += tensor.numel();
  at::Tensor& buffer = buffers_[tensors.front().scalar_type()];
  if (!buffer.defined() || buffer.numel() < elements) {
    buffer = at::Tensor();  // first, so that never two of them are there
    buffer = group_.allocate(elements, tensors.front().options());
  }
  const at::Tensor packed = buffer.narrow(0, 0, elements);
  for_each_place(
      packed, tensors,
      [](const at::Tensor& tensor, const at::Tensor& place) { place.copy_(tensor); });
  return packed;
}

void FusionBuffer::unpack(const at::Tensor& packed,
                          const std::vector<at::Tensor>& tensors) {
  for_each_place(
      packed, tensors,
      [](const at::Tensor& tensor, const at::Tensor& place) { tensor.copy_(place); });
}

}  // namespace lockstep::horovod
