// Verify, then time: before a case is measured, its losses over the first steps are
// compared with one card's that takes the same samples. A case that disagrees gets no
// number.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/child_run.h"
#include "bench/sweep.h"

namespace lockstep::bench {

inline constexpr int64_t kVerifySteps = 10;
inline constexpr double kVerifyTolerance = 1e-5;  // relative

// Nothing when the losses agree; else one line that names the first step that does not.
std::optional<std::string> disagreement(const std::vector<double>& losses,
                                        const std::vector<double>& reference);

// Runs the case and its reference; the reason why it must not be timed, or nothing.
// Throws Stopped.
std::optional<std::string> verify(const Case& one, const Children& children);

}  // namespace lockstep::bench
