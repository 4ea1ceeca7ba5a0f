#include "hier/between.h"

#include <ATen/Functions.h>

#include <stdexcept>
#include <torch/csrc/distributed/c10d/Backend.hpp>

namespace lockstep::hier {
namespace {

// Keeps these messages apart from the user's, whose tags are small.
constexpr int kTag = 1 << 20;

at::Tensor bytes_of(const at::Tensor& data, const Segment& segment) {
  return data.narrow(0, segment.start, segment.elements).view(at::kByte);
}

}  // namespace

Between::Between(c10::intrusive_ptr<c10d::Backend> messages, const Placement& placement,
                 int rank)
    : messages_(std::move(messages)),
      placement_(placement),
      host_(placement.host.at(static_cast<size_t>(rank))),
      local_(placement.local.at(static_cast<size_t>(rank))) {}

Segments Between::of_my_lane(const Segments& segments) const {
  Segments mine;
  for (const Segment& segment : segments) {
    if (segment.lane == local_) mine.push_back(segment);
  }
  return mine;
}

int Between::peer(int host) const {
  return placement_.ranks[static_cast<size_t>(host)][static_cast<size_t>(local_)];
}

void Between::reduce(const at::Tensor& data, const Segments& segments,
                     shm::Reduction reduction, int64_t divisor) {
  const Segments mine = of_my_lane(segments);
  const int hosts = placement_.hosts();
  std::vector<at::Tensor> received;  // [segment at home][other host]
  for (const Segment& segment : mine) {
    if (segment.home != host_) {
      send_to(bytes_of(data, segment), segment.home);
      continue;
    }
    for (int host = 0; host < hosts; ++host) {
      if (host == host_) continue;
      received.push_back(at::empty({segment.elements}, data.options()));
      receive_from(received.back().view(at::kByte), host);
    }
  }
  wait_for_all();
  const shm::ReduceKernel kernel = shm::reduce_kernel(reduction, data.scalar_type());
  auto next = received.begin();
  for (const Segment& segment : mine) {
    if (segment.home != host_) continue;
    const at::Tensor here = data.narrow(0, segment.start, segment.elements);
    std::vector<const void*> sources;
    for (int host = 0; host < hosts; ++host) {
      sources.push_back(host == host_ ? here.const_data_ptr()
                                      : (next++)->const_data_ptr());
    }
    void* const sum = here.mutable_data_ptr();
    kernel(sources, {&sum, 1}, segment.elements);
    if (divisor > 1) here.div_(divisor);
  }
}

void Between::gather(const at::Tensor& data, const Segments& segments) {
  for (const Segment& segment : of_my_lane(segments)) {
    const at::Tensor bytes = bytes_of(data, segment);
    if (segment.home != host_) {
      receive_from(bytes, segment.home);
      continue;
    }
    for (int host = 0; host < placement_.hosts(); ++host) {
      if (host != host_) send_to(bytes, host);
    }
  }
  wait_for_all();
}

void Between::send_to(const at::Tensor& data, int host) { start(true, data, host); }
void Between::receive_from(const at::Tensor& data, int host) {
  start(false, data, host);
}

void Between::start(bool sends, const at::Tensor& data, int host) {
  std::vector<at::Tensor> tensors = {data};
  auto work = sends ? send(tensors, peer(host), kTag) : recv(tensors, peer(host), kTag);
  const std::lock_guard lock(mutex_);
  under_way_.push_back(std::move(work));
}

c10::intrusive_ptr<c10d::Work> Between::send(std::vector<at::Tensor>& tensors, int to,
                                             int tag) {
  const std::lock_guard lock(mutex_);
  return messages_->send(tensors, to, tag);
}

c10::intrusive_ptr<c10d::Work> Between::recv(std::vector<at::Tensor>& tensors, int from,
                                             int tag) {
  const std::lock_guard lock(mutex_);
  return messages_->recv(tensors, from, tag);
}

void Between::wait_for_all() {
  size_t next = 0;
  while (true) {
    c10::intrusive_ptr<c10d::Work> work;
    {
      const std::lock_guard lock(mutex_);
      if (left_) throw std::runtime_error("the group was left before this ended");
      if (next == under_way_.size()) return under_way_.clear();
      work = under_way_[next++];
    }
    work->wait();
  }
}

void Between::leave() {
  const std::lock_guard lock(mutex_);
  left_ = true;
  for (const auto& work : under_way_) work->abort();
}

}  // namespace lockstep::hier
