// Sixteen numbers at a time, for the inner loops that are compiled for AVX-512
// (model/CMakeLists.txt). No header of the standard library's belongs into those files:
// what the linker takes from them for everybody must not need AVX-512.
#pragma once

namespace lockstep::model {

inline constexpr long kLanes = 16;
using Lanes [[gnu::vector_size(4 * kLanes)]] = float;

// Of any alignment.
[[gnu::always_inline]] inline Lanes load(const float* numbers) {
  Lanes loaded;
  __builtin_memcpy(&loaded, numbers, sizeof(loaded));
  return loaded;
}
[[gnu::always_inline]] inline void store(float* numbers, const Lanes& stored) {
  __builtin_memcpy(numbers, &stored, sizeof(stored));
}

}  // namespace lockstep::model
