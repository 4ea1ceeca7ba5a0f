#include "hier/inside.h"

#include <atomic>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "shm/shm.h"

namespace lockstep::hier {

// The group's watch, and whether the group was left: whoever waits in shared memory
// asks it now and then.
class LeavableWatch final : public comm::PeerWatch {
 public:
  explicit LeavableWatch(comm::PeerWatchPtr watch) : watch_(std::move(watch)) {}

  void leave() { left_ = true; }

  std::string lost(std::chrono::milliseconds patience) const override {
    if (left_) return "the group was left";
    const auto watch = watch_.lock();
    return watch ? watch->lost(patience) : "";
  }
  // Nobody asks a group inside another for these.
  Clock::time_point speaks_at() const override { return Clock::now(); }
  void at_step(int64_t /*step*/) override {}
  void ends_badly() override {}
  void monitored_barrier(std::chrono::milliseconds /*timeout*/) override {}

 private:
  // Its end is the group's, not that of who still holds this one.
  const std::weak_ptr<comm::PeerWatch> watch_;
  std::atomic<bool> left_ = false;
};

namespace {

c10d::ReduceOp operation_of(shm::Reduction reduction) {
  switch (reduction) {
    case shm::Reduction::product:
      return c10d::ReduceOp::PRODUCT;
    case shm::Reduction::min:
      return c10d::ReduceOp::MIN;
    case shm::Reduction::max:
      return c10d::ReduceOp::MAX;
    default:
      return c10d::ReduceOp::SUM;
  }
}

}  // namespace

Inside::Inside(const c10::intrusive_ptr<c10d::Store>& store, const Placement& placement,
               int rank, std::chrono::milliseconds timeout, std::optional<int> card,
               const comm::PeerWatchPtr& watch)
    : watch_(std::make_shared<LeavableWatch>(watch)) {
  const int host = placement.host.at(static_cast<size_t>(rank));
  const std::vector<int>& ranks = placement.ranks.at(static_cast<size_t>(host));
  const auto of_host = c10::make_intrusive<c10d::PrefixStore>(
      "hier/host_" + std::to_string(host), store);
  group_ = shm::make_shm(of_host, placement.local.at(static_cast<size_t>(rank)),
                         static_cast<int>(ranks.size()), timeout, card, watch_);
  for (const int one : ranks)
    ranks_ += (ranks_.empty() ? "" : ", ") + std::to_string(one);
}

void Inside::reduce(const at::Tensor& data, const Segments& segments,
                    shm::Reduction reduction, const Local& to) {
  each(data, segments, to, [&](std::vector<at::Tensor>& segment, int local) {
    c10d::ReduceOptions options;
    options.reduceOp = operation_of(reduction);
    options.rootRank = local;
    return group_->backend()->reduce(segment, options);
  });
}

void Inside::broadcast(const at::Tensor& data, const Segments& segments,
                       const Local& from) {
  each(data, segments, from, [&](std::vector<at::Tensor>& segment, int local) {
    c10d::BroadcastOptions options;
    options.rootRank = local;
    return group_->backend()->broadcast(segment, options);
  });
}

void Inside::each(const at::Tensor& data, const Segments& segments, const Local& local,
                  const Start& start) {
  if (group_->size() == 1) return;
  try {
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
    for (const Segment& segment : segments) {
      std::vector<at::Tensor> part = {data.narrow(0, segment.start, segment.elements)};
      works.push_back(start(part, local(segment)));
    }
    for (const auto& work : works) work->wait();
  } catch (const std::exception& error) {
    throw std::runtime_error("inside the host of ranks " + ranks_ +
                             ", which count from 0 there: " + error.what());
  }
}

at::Tensor Inside::allocate(int64_t elements, const at::TensorOptions& options) {
  return group_->allocate(elements, options);
}

void Inside::leave() { watch_->leave(); }

}  // namespace lockstep::hier
