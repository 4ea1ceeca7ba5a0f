#include "device/graph.h"

#include "device/cuda.h"
#include "device/cuda_module.h"

namespace lockstep::device {

std::unique_ptr<Graph> make_cuda_graph() {
  return std::unique_ptr<Graph>(
      cuda_function<decltype(lockstep_make_cuda_graph)>("lockstep_make_cuda_graph")());
}

}  // namespace lockstep::device
