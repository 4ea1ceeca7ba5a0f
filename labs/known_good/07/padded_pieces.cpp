// Lab 7, solved otherwise: pieces padded to one size.
#include <ATen/Functions.h>

#include <vector>

#include "labs/ring.h"
namespace {
using namespace lockstep;

void ring(const at::Tensor& t, comm::ProcessGroup& g) {
  const int n = g.size(), r = g.rank();
  if (n == 1 || t.numel() == 0) return;
  auto each = (t.numel() + n - 1) / n;
  auto pad = at::zeros({n, each}, t.options());
  pad.view({-1}).narrow(0, 0, t.numel()).copy_(t.view({-1}));
  int give = r;
  auto buf = at::empty({each}, t.options());
  for (int s = 0; s < n - 1; ++s) {
    auto w = g.send(pad[give], (r + 1) % n);
    g.recv(buf, (r + n - 1) % n).wait();
    give = (give + n - 1) % n;
    w.wait();
    pad[give].add_(buf);
  }
  for (int s = 0; s < n - 1; ++s) {
    auto w = g.send(pad[give], (r + 1) % n);
    give = (give + n - 1) % n;
    g.recv(pad[give], (r + n - 1) % n).wait();
    w.wait();
  }
  t.view({-1}).copy_(pad.view({-1}).narrow(0, 0, t.numel()));
}
const labs::Registered student(labs::ring_all_reduces(), "student", &ring);
}  // namespace
