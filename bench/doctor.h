// `bench doctor`: what this machine is to a measurement, and what cannot run on it.
#pragma once

#include <string>

namespace lockstep::bench {

// A line each: cores, memory, builds, CUDA, links, data; then what would spoil
// measurements, and what is waived and why. Takes about a second.
std::string diagnosis();

}  // namespace lockstep::bench
