// What a program says at its end, for people: a few lines out of the report.
#pragma once

#include <string>

#include "training/options.h"
#include "training/report.h"

namespace lockstep::training {

std::string summary(const std::string& program, const TrainOptions& options,
                    const TrainReport& report);

}  // namespace lockstep::training
