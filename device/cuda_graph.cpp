// Part of the module liblockstep_cuda.so (cuda_module.cpp): CUDA graphs, by LibTorch's
// own class, after torch/cuda/graphs.py.
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

#include "device/cuda_module.h"
#include "device/graph.h"

namespace {

class CudaGraph final : public lockstep::device::Graph {
 public:
  ~CudaGraph() override {
    if (!recording_) return;
    try {
      end();
    } catch (const c10::Error&) {
      // It was broken off by an error, which is on its way.
    }
    cudaGetLastError();  // not the next call's
  }

  void begin() override {
    // A recording has memory of its own and takes none that is cached for others.
    C10_CUDA_CHECK(cudaDeviceSynchronize());
    c10::cuda::CUDACachingAllocator::emptyCache();
    // Of this thread alone: NCCL's watchdog and the loader's workers go on asking CUDA
    // for things that a recording thread must not.
    device_ = c10::cuda::current_device();
    pool_ = at::cuda::graph_pool_handle();
    graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
    recording_ = true;
  }

  void end() override {
    recording_ = false;
    try {
      graph_.capture_end();
    } catch (const c10::Error&) {
      let_go_of_pool();
      throw;
    }
  }

  void replay() override { graph_.replay(); }

 private:
  // LibTorch 2.11's capture_end() that fails leaves both allocators recording, and
  // while one does, what two streams have used is never free again: every batch
  // (pytorch/pytorch#180395).
  void let_go_of_pool() {
    namespace caching = c10::cuda::CUDACachingAllocator;
    try {
      caching::endAllocateToPool(device_, pool_);
      caching::releasePool(device_, pool_);
      at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(pool_);
      at::getHostAllocator(at::kCUDA)->release_pool(pool_);
    } catch (const c10::Error&) {
      // capture_end() had come past this: the graph itself lets go.
    }
  }

  at::cuda::CUDAGraph graph_;
  c10::DeviceIndex device_ = 0;
  c10::MempoolId_t pool_{0, 0};
  bool recording_ = false;
};

}  // namespace

lockstep::device::Graph* lockstep_make_cuda_graph() { return new CudaGraph; }
