// What a program says at its end, for people: a few lines out of the report.
#pragma once

#include <string>

#include "training/options.h"
#include "training/report.h"

namespace lockstep::training {

// `has_primary`: card 0 is more than the others, as in DataParallel.
std::string summary(const std::string& program, bool has_primary,
                    const TrainOptions& options, const TrainReport& report);

}  // namespace lockstep::training
