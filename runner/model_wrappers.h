// Which loop trains the model, and how its gradients come together: a model wrapper
// reads its table into the options and names the loop. The loops themselves are
// single_gpu's, data_parallel's, ddp's and horovod's; there is none here.
#pragma once

#include "config/section.h"
#include "program/program.h"
#include "registry/registry.h"
#include "training/options.h"

namespace lockstep::runner {

struct Way {
  program::TrainFunction train;
  program::Ranks ranks;
};

using WrapperFactory = Way(const config::Section&, training::TrainOptions&);

// "MMDistributedDataParallel", also without its MM, "DataParallel", "Horovod", under
// PyTorch's names for what they take.
Registry<WrapperFactory>& model_wrappers();

// For a wrapper that is this one with something else to it.
Way distributed_data_parallel(const config::Section& config,
                              training::TrainOptions& options);

// One card, nothing to bring together.
Way unwrapped();

}  // namespace lockstep::runner
