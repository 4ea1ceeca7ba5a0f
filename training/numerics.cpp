#include "training/numerics.h"

#include <ATen/Context.h>

#include <cstdlib>
#include <stdexcept>

namespace lockstep::training {

void set_numerics(const TrainOptions& options) {
  if (options.cudnn_benchmark && options.deterministic) {
    throw std::invalid_argument(
        "--cudnn-benchmark takes whichever way is quickest and --deterministic always "
        "the same; leave one of them out");
  }
  at::Context& context = at::globalContext();
  const bool tf32 = options.precision == "tf32";
  context.setAllowTF32CuDNN(tf32);
  context.setAllowTF32CuBLAS(tf32);
  context.setBenchmarkCuDNN(options.cudnn_benchmark);
  context.setDeterministicCuDNN(options.deterministic);
  context.setDeterministicAlgorithms(options.deterministic, /*warn_only=*/false);
  // cuBLAS asks when it is loaded, and LibTorch refuses its products where this is not
  // set.
  if (options.deterministic) {
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  }
}

}  // namespace lockstep::training
