// Brings replicas together that have trained for some steps on their own: a meeting
// each H steps takes the place of an all-reduce a step, so a slow link counts 1/H.
//
// Of parameters alone: the gradients are used up, and the momentum of each rank's own
// optimizer stays its own. When to meet is the caller's business.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "comm/process_group.h"

namespace lockstep::averaging {

class Averager {
 public:
  virtual ~Averager() = default;

  // Collective. Returns when every rank holds the same parameters, to the bit.
  virtual void meet() = 0;
};

using AveragerPtr = std::unique_ptr<Averager>;

// Local SGD: the parameters become their mean over ranks. As PyTorch's
// PeriodicModelAverager does it.
AveragerPtr make_local_sgd(const std::vector<at::Tensor>& parameters,
                           comm::ProcessGroup& group);

// SGD with Nesterov's momentum (torch.optim.SGD's), as DiLoCo's paper sets it.
struct OuterStep {
  double lr = 0.7;
  double momentum = 0.9;
};

// DiLoCo (Douillard et al. 2023, arXiv 2311.08105): where the parameters stood after
// the last meeting takes one step more, along the mean over ranks of how far each rank
// has come from there. That place and the momentum are held from the start, as
// optimizer state. With a rate of 1 and no momentum it is local SGD.
//
// The parameters are equal on all ranks when it is made.
AveragerPtr make_diloco(const std::vector<at::Tensor>& parameters,
                        comm::ProcessGroup& group, const OuterStep& outer);

}  // namespace lockstep::averaging
