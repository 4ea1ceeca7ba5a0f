// Sums of numbers that lie in several ranks' memory: the arithmetic of all-reduce, one
// piece at a time.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <span>

namespace lockstep::shm {

enum class Reduction : uint8_t { sum, mean, product, min, max };

// For `count` elements of `type`: every destination becomes the reduction of all
// sources, taken in their order whoever calls, so the result is the same to the bit. A
// destination may be a source. 16-bit floats are added up in fp32 and rounded once.
using ReduceKernel = void (*)(std::span<const void* const> sources,
                              std::span<void* const> destinations, int64_t count);

// Throws std::invalid_argument for a pair that has none: complex numbers, the mean of
// integers.
ReduceKernel reduce_kernel(Reduction reduction, at::ScalarType type);

}  // namespace lockstep::shm
