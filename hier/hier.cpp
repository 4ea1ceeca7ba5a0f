#include "hier/hier.h"

#include <ATen/Functions.h>

#include <numeric>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "comm/gloo.h"
#include "device/memory_ledger.h"
#include "hier/between.h"
#include "hier/errands.h"
#include "hier/inside.h"
#include "hier/work.h"

namespace lockstep::hier {
namespace {

using Tensors = std::vector<at::Tensor>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

struct Operation {
  shm::Reduction reduction;
  bool mean;
};

Operation operation_of(const c10d::ReduceOp& operation) {
  switch (static_cast<c10d::ReduceOp::RedOpType>(operation)) {
    case c10d::ReduceOp::SUM:
      return {shm::Reduction::sum, false};
    case c10d::ReduceOp::AVG:
      return {shm::Reduction::sum, true};
    case c10d::ReduceOp::PRODUCT:
      return {shm::Reduction::product, false};
    case c10d::ReduceOp::MIN:
      return {shm::Reduction::min, false};
    case c10d::ReduceOp::MAX:
      return {shm::Reduction::max, false};
    default:
      throw std::invalid_argument(
          "hier has sum, mean, product, min and max; try --backend gloo");
  }
}

// The elements in the order of memory: what is dense has the same order on all ranks.
at::Tensor flat(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.is_cpu(), "hier moves CPU memory, not ", tensor.device(),
              "; try --backend nccl");
  TORCH_CHECK(tensor.is_non_overlapping_and_dense(),
              "a collective takes dense tensors, not strides ", tensor.strides(),
              " of sizes ", tensor.sizes(), "; call contiguous() before");
  return tensor.detach().as_strided({tensor.numel()}, {1});
}

int lane_of(const Segment& segment) { return segment.lane; }

class HierBackend final : public c10d::Backend {
 public:
  HierBackend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
              const Placement& placement, const HierOptions& options,
              const comm::PeerWatchPtr& watch)
      : Backend(rank, world_size),
        placement_(placement),
        host_(placement.host.at(static_cast<size_t>(rank))),
        every_host_(static_cast<size_t>(placement.hosts())),
        inside_(store, placement, rank, options.timeout, options.card, watch),
        between_(comm::make_gloo(store, rank, world_size, options.interface_address,
                                 options.timeout)
                     ->backend(),
                 placement, rank) {
    std::iota(every_host_.begin(), every_host_.end(), 0);
  }

  ~HierBackend() override {
    inside_.leave();
    between_.leave();
    errands_.leave();
  }

  const std::string getBackendName() const override { return "hier"; }

  bool supportsTensorAlloc(c10::DeviceIndex /*device*/) override { return true; }
  at::Tensor allocateTensor(long elements, at::TensorOptions options) override {
    return inside_.allocate(elements, options);
  }

  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override {
    return all_reduce(c10d::OpType::ALLREDUCE, tensors, options.reduceOp);
  }
  WorkPtr allreduce_coalesced(Tensors& tensors,
                              const c10d::AllreduceCoalescedOptions& options) override {
    return all_reduce(c10d::OpType::ALLREDUCE_COALESCED, tensors, options.reduceOp);
  }

  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override {
    const auto root = static_cast<size_t>(options.rootRank);
    const int home = placement_.host.at(root);
    const int to = placement_.local.at(root);
    const at::Tensor data = flat(tensors.at(0));
    const Operation operation = checked(options.reduceOp, data);
    return asked(c10d::OpType::REDUCE, tensors, [=, this] {
      const Segments segments = shared_out(data, {home});
      inside_.reduce(data, segments, operation.reduction, lane_of);
      between_.reduce(data, segments, operation.reduction, divisor(operation));
      if (host_ != home) return;
      inside_.broadcast(data, not_of_lane(segments, to), lane_of);
    });
  }

  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override {
    const auto root = static_cast<size_t>(options.rootRank);
    const int home = placement_.host.at(root);
    const int from = placement_.local.at(root);
    const at::Tensor data = flat(tensors.at(0));
    return asked(c10d::OpType::BROADCAST, tensors, [=, this] {
      if (host_ == home) inside_.broadcast(data, whole(data), to_local(from));
      const Segments segments = shared_out(data, {home});
      between_.gather(data, segments);
      if (host_ != home) inside_.broadcast(data, segments, lane_of);
    });
  }

  WorkPtr barrier(const c10d::BarrierOptions& /*options*/) override {
    Tensors one = {at::zeros({1}, at::kByte)};
    return all_reduce(c10d::OpType::BARRIER, one, c10d::ReduceOp::MAX);
  }

  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override {
    const at::Tensor mine = flat(output);
    const at::Tensor all = flat(input);
    check_pieces("reduce_scatter", all, mine);
    const Operation operation = checked(options.reduceOp, all);
    return asked(c10d::OpType::_REDUCE_SCATTER_BASE, {output}, [=, this] {
      const at::Tensor data = inside_.allocate(all.numel(), all.options());
      data.copy_(all);
      const Segments segments = pieces_of_ranks(mine.numel(), placement_);
      inside_.reduce(data, segments, operation.reduction, lane_of);
      between_.reduce(data, segments, operation.reduction, divisor(operation));
      Segments elsewhere;
      for (const Segment& segment : segments) {
        if (segment.home == host_ && segment.lane != owner(segment, mine.numel()))
          elsewhere.push_back(segment);
      }
      inside_.broadcast(data, elsewhere, lane_of);
      mine.copy_(data.narrow(0, rank_ * mine.numel(), mine.numel()));
    });
  }

  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input,
                          const c10d::AllgatherOptions& /*options*/) override {
    const at::Tensor mine = flat(input);
    const at::Tensor all = flat(output);
    check_pieces("all_gather", all, mine);
    return asked(c10d::OpType::_ALLGATHER_BASE, {output},
                 [=, this] { gather_pieces(all, mine); });
  }

  WorkPtr allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& /*options*/) override {
    const at::Tensor mine = flat(inputs.at(0));
    const Tensors to = outputs.at(0);
    return asked(c10d::OpType::ALLGATHER, to, [=, this] {
      const at::Tensor all = inside_.allocate(mine.numel() * size_, mine.options());
      gather_pieces(all, mine);
      for (size_t r = 0; r < to.size(); ++r) {
        const auto start = static_cast<int64_t>(r) * mine.numel();
        to[r].copy_(all.narrow(0, start, mine.numel()).view_as(to[r]));
      }
    });
  }

  WorkPtr send(Tensors& tensors, int to, int tag) override {
    return between_.send(tensors, to, tag);
  }
  WorkPtr recv(Tensors& tensors, int from, int tag) override {
    return between_.recv(tensors, from, tag);
  }

 private:
  WorkPtr all_reduce(c10d::OpType type, const Tensors& tensors,
                     const c10d::ReduceOp& reduce_op) {
    TORCH_CHECK(!tensors.empty(), "all_reduce of no tensors; name one");
    Tensors all;
    for (const at::Tensor& tensor : tensors) all.push_back(flat(tensor));
    const Operation operation = checked(reduce_op, all.front());
    return asked(type, tensors, [=, this] {
      for (const at::Tensor& data : all) {
        const Segments segments = shared_out(data, every_host_);
        const Segments of_lanes = merged(segments);
        inside_.reduce(data, of_lanes, operation.reduction, lane_of);
        between_.reduce(data, segments, operation.reduction, divisor(operation));
        between_.gather(data, segments);
        inside_.broadcast(data, of_lanes, lane_of);
      }
    });
  }

  void gather_pieces(const at::Tensor& all, const at::Tensor& mine) {
    const int64_t each = mine.numel();
    all.narrow(0, rank_ * each, each).copy_(mine);
    const Segments segments = pieces_of_ranks(each, placement_);
    Segments here, elsewhere;
    for (const Segment& segment : segments) {
      (segment.home == host_ ? here : elsewhere).push_back(segment);
    }
    inside_.broadcast(all, here,
                      [&](const Segment& piece) { return owner(piece, each); });
    between_.gather(all, segments);
    inside_.broadcast(all, elsewhere, lane_of);
  }

  // Whose piece it is: a local rank of its home.
  int owner(const Segment& piece, int64_t each) const {
    return placement_.local[static_cast<size_t>(piece.start / each)];
  }

  // On the group's thread, which allocates in this card's name.
  WorkPtr asked(c10d::OpType type, const Tensors& results,
                const std::function<void()>& work) {
    auto handle = c10::make_intrusive<HierWork>(rank_, type);
    errands_.add(
        [work, account = device::current_account()] {
          const device::AccountScope scope(account);
          work();
        },
        [handle, results](const std::exception_ptr& error) {
          handle->end(results, error);
        });
    return handle;
  }

  // Throws before anybody waits.
  static Operation checked(const c10d::ReduceOp& reduce_op, const at::Tensor& data) {
    const Operation operation = operation_of(reduce_op);
    shm::reduce_kernel(operation.mean ? shm::Reduction::mean : operation.reduction,
                       data.scalar_type());
    return operation;
  }
  void check_pieces(const char* what, const at::Tensor& all, const at::Tensor& mine) {
    TORCH_CHECK(all.numel() == size_ * mine.numel(), what, ": ", all.numel(),
                " elements are not ", size_, " times ", mine.numel());
  }

  int64_t divisor(const Operation& operation) const {
    return operation.mean ? size_ : 1;
  }
  Segments shared_out(const at::Tensor& data, const std::vector<int>& homes) const {
    return share_out(data.numel(), static_cast<int64_t>(data.element_size()),
                     placement_.lanes(), homes);
  }
  static Segments whole(const at::Tensor& data) {
    if (data.numel() == 0) return {};
    return {{0, data.numel(), 0, 0}};
  }
  static Segments not_of_lane(const Segments& segments, int lane) {
    Segments others;
    for (const Segment& segment : segments) {
      if (segment.lane != lane) others.push_back(segment);
    }
    return others;
  }
  static Inside::Local to_local(int local) {
    return [local](const Segment&) { return local; };
  }

  const Placement placement_;
  const int host_;
  std::vector<int> every_host_;
  Inside inside_;
  Between between_;
  Errands errands_;
};

}  // namespace

std::shared_ptr<comm::ProcessGroup> make_hier(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
    const HierOptions& options, comm::PeerWatchPtr watch) {
  const Placement placement =
      agree(*store, rank, world_size, options.host.empty() ? this_host() : options.host,
            options.timeout);
  return std::make_shared<comm::ProcessGroup>(
      c10::make_intrusive<HierBackend>(store, rank, world_size, placement, options,
                                       watch),
      at::kCPU, watch);
}

}  // namespace lockstep::hier
