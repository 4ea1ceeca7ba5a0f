// What labs 04 to 06 ask of a reducer in the same words: that its gradients are the
// mean, and what is sent when. Each refuses by throwing grading::Refused, naming the
// misconception that the values speak of.
#pragma once

#include <string>
#include <vector>

#include "grading/check.h"
#include "labs/reducers/simulated_step.h"

namespace lockstep::labs {

// Of those that labs 04 to 06 know, with its paragraph in chapter 3.
grading::Misconception misconception(const std::string& id);

[[noreturn]] void refuse(const std::string& misconception_id, const std::string& saw);

// take_steps(); ranks that wait for ever, or launch what does not match, are refused
// as `if_stuck`.
SeenSteps seen_steps(const StepPlan& plan, const std::string& if_stuck);

// After each finalize() every rank holds the mean, the same to the bit, and parameters
// are as they were. `otherwise`: where the values are of no known mistake.
void expect_means(const SeenSteps& seen, const std::string& otherwise);

// The all_reduces of each reducing pass, as elements each. Refuses a collective in a
// pass that accumulates.
std::vector<int64_t> messages_of(const SeenPass& pass);
void expect_silence_while_accumulating(const SeenSteps& seen);

// Whole runs of ddp::train() under the student's reducer against one card, fp64: over
// the simulated links, then on threads over gloo, where what races may lose.
void expect_training_as_on_one_card(uint64_t seed, const ReducerOptions& options);

}  // namespace lockstep::labs
