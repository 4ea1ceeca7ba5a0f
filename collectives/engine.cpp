#include "collectives/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace lockstep::collectives {
namespace {

constexpr int64_t kElementBytes = 4;  // float

Shape shape_of(const comm::ProcessGroup& group, const Collective& collective,
               int64_t bytes) {
  Shape shape{group.rank(), group.size(), std::max<int64_t>(1, bytes / kElementBytes)};
  if (collective.in_pieces) {
    shape.elements = std::max<int64_t>(1, shape.piece()) * shape.ranks;
  }
  return shape;
}

double seconds_of(comm::ProcessGroup& group, const Collective& collective,
                  const Buffers& buffers, int times) {
  group.barrier();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) collective.run(group, buffers);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  group.barrier();
  return taken.count();
}

int64_t wrong_on_this_rank(comm::ProcessGroup& group, const Collective& collective,
                           const Buffers& buffers, const Shape& shape, int checks) {
  int64_t wrong = 0;
  for (int round = 0; round < checks; ++round) {
    buffers.recv.fill_(-1);  // what nobody writes is found
    buffers.send.copy_(known_values(shape.rank, buffers.send.numel(), round));
    group.barrier();
    collective.run(group, buffers);
    const at::Tensor expected = collective.expected(shape, round);
    if (expected.defined()) wrong += count_wrong(buffers.recv, expected);
    group.barrier();
  }
  return wrong;
}

}  // namespace

int64_t count_wrong(const at::Tensor& found, const at::Tensor& expected) {
  if (found.numel() != expected.numel())
    return std::max(found.numel(), expected.numel());
  // NaN differs from everything, as it should.
  return found.ne(expected).sum().item<int64_t>();
}

Figure measure(comm::ProcessGroup& group, const Collective& collective, int64_t bytes,
               const Rounds& rounds) {
  const at::NoGradGuard no_grad;
  const Shape shape = shape_of(group, collective, bytes);
  const Buffers buffers = collective.allocate(group, shape);
  buffers.recv.zero_();
  buffers.send.zero_();
  seconds_of(group, collective, buffers, rounds.warmup);
  const double seconds = seconds_of(group, collective, buffers, rounds.iterations);
  const int64_t wrong =
      wrong_on_this_rank(group, collective, buffers, shape, rounds.checks);

  Figure figure;
  figure.bytes = shape.elements * kElementBytes;
  figure.count = collective.in_pieces ? shape.piece() : shape.elements;
  int64_t all_wrong = 0;
  double slowest = 0;
  for (const std::string& said :
       group.all_gather(std::to_string(seconds * 1e9) + " " + std::to_string(wrong))) {
    size_t end = 0;
    slowest = std::max(slowest, std::stod(said, &end) / 1e9);
    all_wrong += std::stoll(said.substr(end));
  }
  figure.time_us = slowest * 1e6 / rounds.iterations;
  figure.algbw = static_cast<double>(figure.bytes) / figure.time_us / 1e3;
  figure.busbw = figure.algbw * collective.bus_factor;
  if (rounds.checks > 0) figure.wrong = all_wrong;
  return figure;
}

}  // namespace lockstep::collectives
