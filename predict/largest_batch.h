// The largest batch that fits, by asking: a prediction, or runs that take seconds each.
#pragma once

#include <cstdint>
#include <functional>

namespace lockstep::predict {

// The largest batch for which `fits` is true, as it then is for all smaller ones; 0
// where it is not for 1. It is asked about `guess` (1 or more) first and about its
// neighbour next: where the guess is right, that is all. Throws std::runtime_error
// where `most_questions` do not find it.
int64_t largest_batch(int64_t guess, int most_questions,
                      const std::function<bool(int64_t batch)>& fits);

}  // namespace lockstep::predict
