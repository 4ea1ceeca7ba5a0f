// What LibTorch's operators compute, in floating-point operations: matrix products,
// convolutions and attention, a multiplication and an addition each, whatever the
// kernel saves (Winograd's, a causal mask's half). Everything else is small beside them
// and counts nothing. The formulas are those of Python's torch.utils.flop_counter, so
// that attention's backward has the product that it computes again.
#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <string_view>

namespace lockstep::flops {

// Of one call: "aten::addmm", and what it was given.
int64_t flops_of(std::string_view name, c10::ArrayRef<const c10::IValue> inputs);

}  // namespace lockstep::flops
