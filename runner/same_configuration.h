// That all ranks were told the same: a schedule, a hook or an order of one rank alone
// would part the replicas without a word, or leave a rank in a collective by itself.
#pragma once

#include <memory>

#include "config/config.h"
#include "training/observer.h"

namespace lockstep::runner {

// Before the first step ranks compare these, but for where their files are. Throws
// std::runtime_error on all of them, naming the first key that differs.
std::shared_ptr<training::StepObserver> make_same_configuration(
    const config::Values& values);

}  // namespace lockstep::runner
