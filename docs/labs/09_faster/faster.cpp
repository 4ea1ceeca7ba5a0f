// Lab 9, open: beat our all-reduce over shared memory. README.md, beside this file,
// says what there is to beat. Write the body.
#include "labs/faster.h"

#include <atomic>
#include <stdexcept>

namespace {

using namespace lockstep::labs;

// What ranks tell each other, at the beginning of shared.board: zero at first.
struct Board {
  std::atomic<uint32_t> came;
};

void all_reduce(const SharedNumbers& shared) {
  throw std::logic_error("lab 09: all_reduce is not written yet");
}

const Registered student(shared_all_reduces(), "student", &all_reduce);

}  // namespace
