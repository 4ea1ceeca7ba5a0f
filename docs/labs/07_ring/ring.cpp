// Lab 7: the ring. README.md, beside this file, says what to do. Write the body.
#include "labs/ring.h"

#include <ATen/Functions.h>

#include <stdexcept>

namespace {

using namespace lockstep;

// Afterwards `tensor` holds the sum over all ranks of `group`, on every rank: in place,
// in pieces that go round. You have
//
//   group.rank(), group.size()
//   comm::Work work = group.send(piece, to);    // started; work.wait() ends it
//   comm::Work work = group.recv(piece, from);  // what comes is written into piece
//
// and a tensor's view({-1}), narrow(0, begin, length) and add_(other). Pieces of a view
// are the tensor's own memory. at::empty_like(piece) is room for another one.
void ring_all_reduce(const at::Tensor& tensor, comm::ProcessGroup& group) {
  throw std::logic_error("lab 07: ring_all_reduce is not written yet");
}

const labs::Registered student(labs::ring_all_reduces(), "student", &ring_all_reduce);

}  // namespace
