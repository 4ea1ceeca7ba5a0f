// Lab 7, solved otherwise: sends waited for when all is over.
#include <ATen/Functions.h>

#include <vector>

#include "labs/ring.h"
namespace {
using namespace lockstep;

void ring(const at::Tensor& t, comm::ProcessGroup& g) {
  const int n = g.size(), r = g.rank();
  auto line = t.flatten();  // contiguous: a view
  auto piece = [&](int i) {
    i = ((i % n) + n) % n;
    int64_t q = line.numel() / n, rest = line.numel() % n;
    int64_t begin = i * q + std::min<int64_t>(i, rest);
    return line.slice(0, begin, begin + q + (i < rest));
  };
  for (int phase = 0; phase < 2; ++phase) {
    std::vector<comm::Work> sends;
    for (int s = 0; s + 1 < n; ++s) {
      sends.push_back(g.send(piece(r - s + phase), (r + 1) % n));
      auto in = piece(r - s - 1 + phase);
      if (phase == 0) {
        auto b = at::empty_like(in);
        g.recv(b, (r - 1 + n) % n).wait();
        in.copy_(in + b);
      } else
        g.recv(in, (r - 1 + n) % n).wait();
    }
    for (auto& w : sends) w.wait();
  }
}
const labs::Registered student(labs::ring_all_reduces(), "student", &ring);
}  // namespace
