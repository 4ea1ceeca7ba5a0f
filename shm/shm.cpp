#include "shm/shm.h"

#include <ATen/Functions.h>

#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "device/memory_ledger.h"
#include "shm/board.h"
#include "shm/work.h"

namespace lockstep::shm {
namespace {

using Tensors = std::vector<at::Tensor>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;

Reduction reduction_of(const c10d::ReduceOp& operation) {
  switch (static_cast<c10d::ReduceOp::RedOpType>(operation)) {
    case c10d::ReduceOp::SUM:
      return Reduction::sum;
    case c10d::ReduceOp::AVG:
      return Reduction::mean;
    case c10d::ReduceOp::PRODUCT:
      return Reduction::product;
    case c10d::ReduceOp::MIN:
      return Reduction::min;
    case c10d::ReduceOp::MAX:
      return Reduction::max;
    default:
      throw std::invalid_argument(
          "shared memory has sum, mean, product, min and max; try --backend gloo");
  }
}

class ShmBackend final : public c10d::Backend, public comm::UpdatesShards {
 public:
  ShmBackend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
             std::chrono::milliseconds timeout, std::optional<int> card,
             const comm::PeerWatchPtr& watch)
      : Backend(rank, world_size), card_(card) {
    if (world_size > Board::kMaxRanks) {
      throw std::invalid_argument("shared memory serves " +
                                  std::to_string(Board::kMaxRanks) + " ranks, not " +
                                  std::to_string(world_size) + "; try --backend gloo");
    }
    memory_ = std::make_shared<SharedMemory>(*store, rank, world_size, Board::bytes(),
                                             timeout);
    board_ = std::make_shared<Board>(memory_, rank, world_size, timeout, watch);
    blocks_ = std::make_shared<device::BlockCache>(region_source(memory_, rank));
    if (card_) device::set_block_cache(*card_, blocks_);
  }

  ~ShmBackend() override {
    if (card_) device::set_block_cache(*card_, nullptr);
    board_->leave();
  }

  const std::string getBackendName() const override { return "shm"; }

  bool supportsTensorAlloc(c10::DeviceIndex /*device*/) override { return true; }
  at::Tensor allocateTensor(long elements, at::TensorOptions options) override {
    const size_t bytes =
        std::max<size_t>(1, static_cast<size_t>(elements) * options.dtype().itemsize());
    const auto charged = static_cast<int64_t>(bytes);
    const device::Account account = device::current_account();
    device::charge(account, charged);
    void* block = nullptr;
    try {
      block = blocks_->take(bytes);
    } catch (...) {
      device::credit(account, charged);
      throw;
    }
    const auto give_back = [blocks = blocks_, account, bytes, charged](void* freed) {
      device::credit(account, charged);
      blocks->give(freed, bytes);
    };
    return at::from_blob(block, {elements}, give_back, options);
  }

  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override {
    return in_place(Collective::all_reduce, c10d::OpType::ALLREDUCE, tensors,
                    reduction_of(options.reduceOp), 0);
  }
  WorkPtr allreduce_coalesced(Tensors& tensors,
                              const c10d::AllreduceCoalescedOptions& options) override {
    return in_place(Collective::all_reduce, c10d::OpType::ALLREDUCE_COALESCED, tensors,
                    reduction_of(options.reduceOp), 0);
  }
  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override {
    return in_place(Collective::reduce, c10d::OpType::REDUCE, tensors,
                    reduction_of(options.reduceOp), static_cast<int>(options.rootRank));
  }
  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override {
    return in_place(Collective::broadcast, c10d::OpType::BROADCAST, tensors,
                    Reduction::sum, static_cast<int>(options.rootRank));
  }
  WorkPtr barrier(const c10d::BarrierOptions& /*options*/) override {
    Tensors none;
    return in_place(Collective::barrier, c10d::OpType::BARRIER, none, Reduction::sum,
                    0);
  }
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override {
    return from_to(Collective::reduce_scatter, c10d::OpType::_REDUCE_SCATTER_BASE,
                   input, output, reduction_of(options.reduceOp), nullptr);
  }
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input,
                          const c10d::AllgatherOptions& /*options*/) override {
    return from_to(Collective::all_gather, c10d::OpType::_ALLGATHER_BASE, input, output,
                   Reduction::sum, nullptr);
  }
  WorkPtr allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& /*options*/) override {
    const at::Tensor& input = inputs.at(0);
    at::Tensor all = allocateTensor(input.numel() * size_, input.options());
    const auto deal_out = [all, to = outputs.at(0)] {
      const int64_t each = all.numel() / static_cast<int64_t>(to.size());
      for (size_t r = 0; r < to.size(); ++r) {
        to[r].copy_(all.narrow(0, static_cast<int64_t>(r) * each, each).view_as(to[r]));
      }
    };
    return from_to(Collective::all_gather, c10d::OpType::ALLGATHER, input, all,
                   Reduction::sum, deal_out);
  }

  int64_t shard_elements(const Tensors& parameters) const override {
    std::vector<int64_t> elements;
    for (const at::Tensor& parameter : parameters) {
      elements.push_back(parameter.numel());
    }
    return Board::state_elements(elements, parameters.front().scalar_type(), size_);
  }
  WorkPtr update_shards(const comm::ShardedUpdate& update) override {
    auto work = c10::make_intrusive<ShmWork>(rank_, c10d::OpType::UNKNOWN, board_);
    Call call;
    call.collective = Collective::update;
    call.reduction = Reduction::mean;
    call.type = update.gradients.front().scalar_type();
    call.step = update.step;
    TORCH_CHECK(2 * update.gradients.size() < Board::kMaxSpans, "an update of ",
                update.gradients.size(),
                " tensors at once is too many; update them in parts");
    reduce_kernel(Reduction::mean, call.type);
    Tensors held;
    Copies copies;
    for (const at::Tensor& gradient : update.gradients) {
      Copies read_only;
      add_span(gradient, call, held, read_only);
    }
    for (const at::Tensor& parameter : update.parameters) {
      add_span(parameter, call, held, copies);
    }
    const bool has_state = update.state.defined() && update.state.numel() > 0;
    TORCH_CHECK(!has_state || is_shared(update.state),
                "an update's state lies in the group's own memory; allocate() it");
    held.push_back(update.state);
    call.spans.push_back(has_state ? span_of(update.state)
                                   : Call::Span{memory_->region(rank_), 0});
    const auto finished = [work, held, copies = std::move(copies)] {
      copy_back(copies);
      work->complete({});
    };
    return started(work, call, finished);
  }

 private:
  // Where from, where to: what must be copied back when all is done.
  using Copies = std::vector<std::pair<at::Tensor, at::Tensor>>;

  static void copy_back(const Copies& copies) {
    for (const auto& [from, to] : copies) to.copy_(from);
  }

  void add_span(const at::Tensor& tensor, Call& call, Tensors& held, Copies& copies) {
    check_dense(tensor);
    const at::Tensor place = shared(tensor);
    if (!place.is_same(tensor)) {
      const at::Tensor numbers = flat(tensor);
      place.copy_(numbers);
      copies.emplace_back(place, numbers);
    }
    held.push_back(place);
    call.spans.push_back(span_of(place));
  }

  bool is_shared(const at::Tensor& tensor) const {
    const auto* data = static_cast<const std::byte*>(tensor.const_data_ptr());
    const std::byte* region = memory_->region(rank_);
    return data >= region && data < region + memory_->region_bytes();
  }

  // The tensor itself where all can see it, else a place in shared memory for a copy.
  at::Tensor shared(const at::Tensor& tensor) {
    return is_shared(tensor) ? tensor
                             : allocateTensor(tensor.numel(), tensor.options());
  }

  static Call::Span span_of(const at::Tensor& tensor) {
    return {tensor.const_data_ptr(), tensor.numel()};
  }

  static void check_dense(const at::Tensor& tensor) {
    TORCH_CHECK(tensor.is_non_overlapping_and_dense(),
                "a collective takes dense tensors, not strides ", tensor.strides(),
                " of sizes ", tensor.sizes(), "; call contiguous() before");
  }
  // The elements in the order of memory: what is dense has the same order on all ranks.
  static at::Tensor flat(const at::Tensor& tensor) {
    check_dense(tensor);
    return tensor.detach().as_strided({tensor.numel()}, {1});
  }

  WorkPtr in_place(Collective collective, c10d::OpType type, const Tensors& tensors,
                   Reduction reduction, int root) {
    auto work = c10::make_intrusive<ShmWork>(rank_, type, board_);
    Call call{collective, reduction, at::kByte, root, {}};
    if (!tensors.empty()) call.type = tensors.front().scalar_type();
    if (collective == Collective::all_reduce || collective == Collective::reduce) {
      reduce_kernel(reduction, call.type);  // throws before anybody waits
    }
    Copies copies;
    Tensors held;
    for (const at::Tensor& tensor : tensors) add_span(tensor, call, held, copies);
    const auto finished = [work, tensors, held, copies = std::move(copies)] {
      copy_back(copies);
      work->complete(tensors);
    };
    // A call has room for so many spans; all ranks cut alike.
    while (call.spans.size() > Board::kMaxSpans) {
      Call first = call;
      first.spans.resize(Board::kMaxSpans);
      call.spans.erase(call.spans.begin(), call.spans.begin() + Board::kMaxSpans);
      board_->start(first);
    }
    return started(work, call, finished);
  }

  WorkPtr from_to(Collective collective, c10d::OpType type, const at::Tensor& input,
                  const at::Tensor& output, Reduction reduction,
                  const std::function<void()>& after) {
    const bool gather = collective == Collective::all_gather;
    const auto& [small, large] =
        gather ? std::tie(input, output) : std::tie(output, input);
    TORCH_CHECK(large.numel() == size_ * small.numel(), to_string(collective), ": ",
                large.numel(), " elements are not ", size_, " times ", small.numel());
    if (!gather) reduce_kernel(reduction, input.scalar_type());
    auto work = c10::make_intrusive<ShmWork>(rank_, type, board_);
    const at::Tensor from_numbers = flat(input);
    const at::Tensor to_numbers = flat(output);
    const at::Tensor from = shared(from_numbers);
    const at::Tensor to = shared(to_numbers);
    if (!from.is_same(from_numbers)) from.copy_(from_numbers);
    const auto finished = [work, from, to, to_numbers, output, after] {
      const at::NoGradGuard no_grad;
      if (!to.is_same(to_numbers)) to_numbers.copy_(to);
      if (after) after();
      work->complete({output});
    };
    return started(
        work,
        {collective, reduction, input.scalar_type(), 0, {span_of(from), span_of(to)}},
        finished);
  }

  WorkPtr started(const c10::intrusive_ptr<ShmWork>& work, const Call& call,
                  const std::function<void()>& finished) {
    work->set_number(board_->start(call, finished));
    return work;
  }

  std::shared_ptr<SharedMemory> memory_;
  std::shared_ptr<Board> board_;
  device::BlockCachePtr blocks_;
  std::optional<int> card_;
};

}  // namespace

std::shared_ptr<comm::ProcessGroup> make_shm(
    const c10::intrusive_ptr<c10d::Store>& store, int rank, int world_size,
    std::chrono::milliseconds timeout, std::optional<int> card,
    comm::PeerWatchPtr watch) {
  return std::make_shared<comm::ProcessGroup>(
      c10::make_intrusive<ShmBackend>(store, rank, world_size, timeout, card, watch),
      at::kCPU, watch);
}

}  // namespace lockstep::shm
