// Part of the module liblockstep_cuda.so (cuda_module.cpp): CUDA graphs, by LibTorch's
// own class, after torch/cuda/graphs.py.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>

#include "device/cuda_module.h"
#include "device/graph.h"

namespace {

class CudaGraph final : public lockstep::device::Graph {
 public:
  ~CudaGraph() override {
    if (!recording_) return;
    try {
      graph_.capture_end();
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
    graph_.capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
    recording_ = true;
  }

  void end() override {
    recording_ = false;
    graph_.capture_end();
  }

  void replay() override { graph_.replay(); }

 private:
  at::cuda::CUDAGraph graph_;
  bool recording_ = false;
};

}  // namespace

lockstep::device::Graph* lockstep_make_cuda_graph() { return new CudaGraph; }
