#include "shm/reduce_kernels.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace lockstep::shm {
namespace {

template <typename T>
constexpr bool kIs16BitFloat =
    std::is_same_v<T, c10::Half> || std::is_same_v<T, c10::BFloat16>;
template <typename T>
using Accumulator = std::conditional_t<kIs16BitFloat<T>, float, T>;

template <Reduction kind, typename A>
A combine(A a, A b) {
  if constexpr (kind == Reduction::product) {
    return static_cast<A>(a * b);
  } else if constexpr (kind == Reduction::min) {
    return b < a ? b : a;
  } else if constexpr (kind == Reduction::max) {
    return a < b ? b : a;
  } else {
    return static_cast<A>(a + b);
  }
}

// So many numbers at a time: few enough to stay in registers, so that every source is
// read once and every destination, which may be a source, written once.
template <typename T>
constexpr int64_t kBlock = kIs16BitFloat<T> ? 256 : 128 / sizeof(T);

template <Reduction kind, typename T>
[[gnu::always_inline]] inline void reduce_block(std::span<const void* const> sources,
                                                std::span<void* const> destinations,
                                                int64_t start, int64_t length) {
  using A = Accumulator<T>;
  const A scale = static_cast<A>(1) / static_cast<A>(sources.size());
  A sum[kBlock<T>];
  const T* first = static_cast<const T*>(sources[0]) + start;
  for (int64_t i = 0; i < length; ++i) sum[i] = static_cast<A>(first[i]);
  for (size_t s = 1; s < sources.size(); ++s) {
    const T* next = static_cast<const T*>(sources[s]) + start;
    for (int64_t i = 0; i < length; ++i) {
      sum[i] = combine<kind, A>(sum[i], static_cast<A>(next[i]));
    }
  }
  if constexpr (kind == Reduction::mean) {
    for (int64_t i = 0; i < length; ++i) sum[i] *= scale;
  }
  for (void* destination : destinations) {
    T* to = static_cast<T*>(destination) + start;
    for (int64_t i = 0; i < length; ++i) to[i] = static_cast<T>(sum[i]);
  }
}

template <Reduction kind, typename T>
[[gnu::always_inline]] inline void reduce_body(std::span<const void* const> sources,
                                               std::span<void* const> destinations,
                                               int64_t count) {
  int64_t start = 0;
  for (; start + kBlock<T> <= count; start += kBlock<T>) {
    reduce_block<kind, T>(sources, destinations, start, kBlock<T>);
  }
  if (start < count) {
    reduce_block<kind, T>(sources, destinations, start, count - start);
  }
}

template <Reduction kind, typename T>
void reduce(std::span<const void* const> sources, std::span<void* const> destinations,
            int64_t count) {
  reduce_body<kind, T>(sources, destinations, count);
}

#ifdef __x86_64__
// The same for processors of the last ten years: eight numbers at a time, a third
// faster.
template <Reduction kind, typename T>
[[gnu::target("avx2,f16c")]] void reduce_avx2(std::span<const void* const> sources,
                                              std::span<void* const> destinations,
                                              int64_t count) {
  reduce_body<kind, T>(sources, destinations, count);
}
#endif

template <Reduction kind, typename T>
ReduceKernel for_this_processor() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) return &reduce_avx2<kind, T>;
#endif
  return &reduce<kind, T>;
}

template <typename T>
ReduceKernel kernel_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum:
      return for_this_processor<Reduction::sum, T>();
    case Reduction::mean:
      if constexpr (std::is_integral_v<T>) {
        return nullptr;
      } else {
        return for_this_processor<Reduction::mean, T>();
      }
    case Reduction::product:
      return for_this_processor<Reduction::product, T>();
    case Reduction::min:
      return for_this_processor<Reduction::min, T>();
    case Reduction::max:
      return for_this_processor<Reduction::max, T>();
  }
  return nullptr;
}

ReduceKernel find(Reduction reduction, at::ScalarType type) {
  switch (type) {
    case at::ScalarType::Float:
      return kernel_of<float>(reduction);
    case at::ScalarType::Double:
      return kernel_of<double>(reduction);
    case at::ScalarType::Half:
      return kernel_of<c10::Half>(reduction);
    case at::ScalarType::BFloat16:
      return kernel_of<c10::BFloat16>(reduction);
    case at::ScalarType::Byte:
      return kernel_of<uint8_t>(reduction);
    case at::ScalarType::Char:
      return kernel_of<int8_t>(reduction);
    case at::ScalarType::Short:
      return kernel_of<int16_t>(reduction);
    case at::ScalarType::Int:
      return kernel_of<int32_t>(reduction);
    case at::ScalarType::Long:
      return kernel_of<int64_t>(reduction);
    default:
      return nullptr;
  }
}

}  // namespace

ReduceKernel reduce_kernel(Reduction reduction, at::ScalarType type) {
  const ReduceKernel kernel = find(reduction, type);
  if (kernel == nullptr) {
    throw std::invalid_argument(
        std::string("shared memory adds up floats and integers, and has no such ") +
        (reduction == Reduction::mean ? "mean" : "reduction") + " of " +
        c10::toString(type) + "; try --backend gloo");
  }
  return kernel;
}

}  // namespace lockstep::shm
