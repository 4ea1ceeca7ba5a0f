// Three ranks that train by the student's ring, beside one card.
#pragma once

#include <cstdint>

namespace lockstep::labs {

// Throws grading::Refused for other losses, or what the ring throws.
void check_ring_training(uint64_t seed);

}  // namespace lockstep::labs
