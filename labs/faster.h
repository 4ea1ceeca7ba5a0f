// Lab 9: an all-reduce over memory that all ranks see, by the student.
//
// Each rank has mapped that memory for itself, as processes do: an address is good on
// its own rank alone. What ranks tell each other is numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "labs/registered.h"

namespace lockstep::labs {

struct SharedNumbers {
  int rank = 0;
  int size = 1;
  int64_t elements = 0;             // of each rank's numbers
  std::span<float* const> numbers;  // [r]: rank r's, as this rank sees them
  // 1 MiB for whatever ranks tell each other: zero before the first call, then as the
  // calls leave it.
  std::span<std::byte> board;
};

// Every rank calls it. When it returns the rank's own numbers hold the sum over ranks,
// and nobody else reads or writes them any more.
using SharedAllReduce = void(const SharedNumbers& shared);
Registry<SharedAllReduce>& shared_all_reduces();

}  // namespace lockstep::labs
