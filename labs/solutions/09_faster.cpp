// Lab 9: each rank adds up its share of the elements, and writes it to all.
#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "labs/faster.h"

namespace {

using namespace lockstep::labs;

// A cache line each: who waits for `round` is not disturbed by who comes.
struct Board {
  alignas(64) std::atomic<uint32_t> came;
  alignas(64) std::atomic<uint32_t> round;
};

// Returns when all have come.
void meet(const SharedNumbers& shared) {
  constexpr int kLooks = 200;
  Board& board = *reinterpret_cast<Board*>(shared.board.data());
  const uint32_t round = board.round.load(std::memory_order_acquire);
  const auto all = static_cast<uint32_t>(shared.size);
  if (board.came.fetch_add(1, std::memory_order_acq_rel) + 1 == all) {
    board.came.store(0, std::memory_order_relaxed);
    board.round.store(round + 1, std::memory_order_release);
    return;
  }
  for (int look = 0; board.round.load(std::memory_order_acquire) == round; ++look) {
    if (look >= kLooks) std::this_thread::yield();
  }
}

void all_reduce(const SharedNumbers& shared) {
  constexpr int64_t kPiece = 2048;  // two of them fit the nearest cache
  // Shares end where cache lines do.
  const int64_t lines = (shared.elements + 15) / 16;
  const int64_t begin = 16 * (lines * shared.rank / shared.size);
  const int64_t end =
      std::min(shared.elements, 16 * (lines * (shared.rank + 1) / shared.size));
  meet(shared);  // all numbers are there
  std::array<float, kPiece> sum;
  for (int64_t i = begin; i < end; i += kPiece) {
    const int64_t count = std::min(kPiece, end - i);
    std::copy_n(shared.numbers[0] + i, count, sum.data());
    for (const float* numbers : shared.numbers.subspan(1)) {
      for (int64_t k = 0; k < count; ++k) sum[k] += numbers[i + k];
    }
    for (float* numbers : shared.numbers) std::copy_n(sum.data(), count, numbers + i);
  }
  meet(shared);  // all sums are there
}

const Registered student(shared_all_reduces(), "student", &all_reduce);

}  // namespace
