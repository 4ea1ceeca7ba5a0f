#include "ddp/sgd_step.h"

#include <cmath>

namespace lockstep::ddp {
namespace {

// LibTorch's own kernels multiply and add with one rounding where the processor can.
template <bool kFused, typename T>
T multiply_add(T a, T b, T c) {
  if constexpr (kFused) {
    return std::fma(a, b, c);
  } else {
    return a * b + c;
  }
}

template <typename T>
struct Rates {
  explicit Rates(const TrainOptions& options)
      : scale(static_cast<T>(1.0 / static_cast<double>(options.accumulate))),
        decay(static_cast<T>(options.weight_decay)),
        keep(static_cast<T>(options.momentum)),
        lr(static_cast<T>(options.lr)),
        plain(options.accumulate == 1 && options.weight_decay == 0) {}
  T scale;
  T decay;
  T keep;
  T lr;
  bool plain;  // the gradient is the mean as it comes
};

template <bool kFused, typename T>
[[gnu::always_inline]] inline void step_body(T* __restrict mean,
                                             T* __restrict parameters,
                                             T* __restrict momentum, int64_t count,
                                             const Rates<T>& rates) {
  const auto [scale, decay, keep, lr, plain] = rates;
  for (int64_t i = 0; i < count && !plain; ++i) {
    mean[i] = multiply_add<kFused>(decay, parameters[i], mean[i] * scale);
  }
  if (momentum == nullptr) {
    for (int64_t i = 0; i < count; ++i) {
      parameters[i] = multiply_add<kFused>(-lr, mean[i], parameters[i]);
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    momentum[i] = keep * momentum[i] + mean[i];
    parameters[i] = multiply_add<kFused>(-lr, momentum[i], parameters[i]);
  }
}

template <typename T>
void step(T* mean, T* parameters, T* momentum, int64_t count, const Rates<T>& rates) {
  step_body<false>(mean, parameters, momentum, count, rates);
}

#ifdef __x86_64__
// For processors of the last ten years: eight numbers at a time.
template <typename T>
[[gnu::target("avx2,fma")]] void step_avx2(T* mean, T* parameters, T* momentum,
                                           int64_t count, const Rates<T>& rates) {
  step_body<true>(mean, parameters, momentum, count, rates);
}
#endif

template <typename T>
auto* for_this_processor() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return &step_avx2<T>;
  }
#endif
  return &step<T>;
}

template <typename T>
comm::ShardedUpdate::Step step_of(const TrainOptions& options) {
  return [rates = Rates<T>(options), step = for_this_processor<T>()](
             void* mean, void* parameters, void* momentum, int64_t count) {
    step(static_cast<T*>(mean), static_cast<T*>(parameters), static_cast<T*>(momentum),
         count, rates);
  };
}

}  // namespace

comm::ShardedUpdate::Step sgd_step(at::ScalarType type, const TrainOptions& options) {
  TORCH_CHECK(type == at::kFloat || type == at::kDouble, "--shard-optimizer steps ",
              at::kFloat, " and ", at::kDouble, ", not ", type, "; leave it out");
  return type == at::kFloat ? step_of<float>(options) : step_of<double>(options);
}

}  // namespace lockstep::ddp
