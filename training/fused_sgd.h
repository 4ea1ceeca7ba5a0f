// SGD whose step is one kernel for all parameters, by LibTorch's own: what LibTorch's
// C++ optimizer does is three or four small ones for each, and a CUDA card waits for
// the host to start them. State and options are torch::optim::SGD's, so checkpoints
// are, too.
//
// As torch.optim.SGD(fused=True) (torch/optim/sgd.py, _fused_sgd).
#pragma once

#include <torch/optim/sgd.h>

namespace lockstep::training {

class FusedSgd final : public torch::optim::SGD {
 public:
  using SGD::SGD;

  // Parameters of one type on one device, gradients dense. No closure.
  at::Tensor step(LossClosure closure = nullptr) override;
};

}  // namespace lockstep::training
