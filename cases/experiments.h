// The experiments of "PyTorch Distributed" (Li et al., VLDB 2020) by name, on whatever
// machine this is: sweeps made ready for one question. Every option of bench changes
// them as it changes any sweep.
#pragma once

#include <string>

#include "cases/sweep.h"

namespace lockstep::cases {

// `bench scaling`: DDP over cards, weak and strong (figure 9).
inline constexpr char kScaling[] = "scaling";
// `bench bucket-sweep`: DDP on the most cards, from one bucket a parameter to one for
// all of them (figures 7 and 8).
inline constexpr char kBucketSweep[] = "bucket-sweep";

bool is_experiment(const std::string& word);

// What is measured unless options say otherwise; `cores`: of this machine.
Sweep sweep_of(const std::string& experiment, int cores);

}  // namespace lockstep::cases
