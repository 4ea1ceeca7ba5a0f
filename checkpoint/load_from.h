// Parameters of another run for this one to begin with.
#pragma once

#include <memory>
#include <string>

#include "training/observer.h"

namespace lockstep::checkpoint {

// `path`: a file of safetensors, a checkpoint ("step-00000123"), or a folder of them,
// of which it takes the newest. Reads it at once: throws std::invalid_argument where
// there is none that is whole; std::runtime_error, where the model is built, for
// another's.
std::shared_ptr<training::StepObserver> make_load_from(const std::string& path);

}  // namespace lockstep::checkpoint
