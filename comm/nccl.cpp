#include "comm/nccl.h"

#include "comm/nccl_module.h"
#include "device/cuda.h"

namespace lockstep::comm {
using device::cuda_function;

std::shared_ptr<ProcessGroup> make_nccl(const c10::intrusive_ptr<c10d::Store>& store,
                                        int rank, int world_size, at::Device device,
                                        std::chrono::milliseconds timeout,
                                        PeerWatchPtr watch) {
  auto* make = cuda_function<decltype(lockstep_make_nccl)>("lockstep_make_nccl");
  auto* close = cuda_function<decltype(lockstep_close_nccl)>("lockstep_close_nccl");
  const auto backend = c10::intrusive_ptr<c10d::Backend>::reclaim(
      make(store, rank, world_size, device, timeout));
  return {new ProcessGroup(backend, device, std::move(watch)),
          [close](ProcessGroup* group) {
            close(*group->backend());
            delete group;
          }};
}

void nccl_broadcast(const std::vector<at::Tensor>& tensors) {
  cuda_function<decltype(lockstep_nccl_broadcast)>("lockstep_nccl_broadcast")(tensors);
}

void nccl_reduce(const std::vector<at::Tensor>& tensors) {
  cuda_function<decltype(lockstep_nccl_reduce)>("lockstep_nccl_reduce")(tensors);
}

}  // namespace lockstep::comm
