// The collectives as c10d names them, over the simulated links.
#include <stdexcept>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "simulator/state.h"
#include "simulator/tensor_bytes.h"

namespace lockstep::simulator {
namespace {

using c10d::OpType;
using Joins = Part::Joins;
using Tensors = std::vector<at::Tensor>;
using Given = c10::intrusive_ptr<c10d::Work>;

Joins joins_by(const c10d::ReduceOp& operation) {
  if (operation == c10d::ReduceOp::SUM) return Joins::sum;
  if (operation == c10d::ReduceOp::AVG) return Joins::mean;
  throw std::invalid_argument("the simulated group knows SUM and AVG, no operation " +
                              std::to_string(static_cast<int>(operation.op_)));
}

class Backend final : public c10d::Backend {
 public:
  Backend(Simulation::State& state, int rank)
      : c10d::Backend(rank, state.clock.ranks()), state_(state) {}

  const std::string getBackendName() const override { return "simulated"; }

  Given allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override {
    return launch({"all_reduce", OpType::ALLREDUCE, joins_by(options.reduceOp), -1,
                   tensors, tensors});
  }
  Given allreduce_coalesced(Tensors& tensors,
                            const c10d::AllreduceCoalescedOptions& options) override {
    return launch({"all_reduce", OpType::ALLREDUCE_COALESCED,
                   joins_by(options.reduceOp), -1, tensors, tensors});
  }
  Given broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override {
    const int root = checked(options.rootRank);
    return launch({"broadcast", OpType::BROADCAST, Joins::of_root, root, tensors,
                   root == rank_ ? Tensors() : tensors});
  }
  Given reduce(Tensors& tensors, const c10d::ReduceOptions& options) override {
    const int root = checked(options.rootRank);
    return launch({"reduce", OpType::REDUCE, joins_by(options.reduceOp), root, tensors,
                   root == rank_ ? tensors : Tensors()});
  }
  Given allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                  const c10d::AllgatherOptions& /*options*/) override {
    check_pieces("all_gather", elements_of(outputs.at(0)), elements_of(inputs));
    return launch(
        {"all_gather", OpType::ALLGATHER, Joins::side_by_side, -1, inputs, outputs[0]});
  }
  Given _allgather_base(at::Tensor& output, at::Tensor& input,
                        const c10d::AllgatherOptions& /*options*/) override {
    check_pieces("all_gather", output.numel(), input.numel());
    return launch({"all_gather",
                   OpType::_ALLGATHER_BASE,
                   Joins::side_by_side,
                   -1,
                   {input},
                   {output}});
  }
  Given _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                             const c10d::ReduceScatterOptions& options) override {
    check_pieces("reduce_scatter", input.numel(), output.numel());
    return launch({"reduce_scatter",
                   OpType::_REDUCE_SCATTER_BASE,
                   joins_by(options.reduceOp),
                   -1,
                   {input},
                   {output},
                   rank_});
  }
  Given barrier(const c10d::BarrierOptions& /*options*/) override {
    const at::Tensor nothing = at::empty({0});
    return launch({"barrier", OpType::BARRIER, Joins::sum, -1, {nothing}, {nothing}});
  }
  Given send(Tensors& tensors, int to, int /*tag*/) override {
    check_thread("send");
    return state_.messages->send(rank_, to, tensors.at(0));
  }
  Given recv(Tensors& tensors, int from, int /*tag*/) override {
    check_thread("recv");
    return state_.messages->recv(from, rank_, tensors.at(0));
  }

 private:
  Given launch(Part part) {
    check_thread(part.kind);
    check_tensors(part.from, part.kind.c_str());
    if (!part.to.empty()) check_tensors(part.to, part.kind.c_str());
    return state_.collectives->launch(rank_, std::move(part));
  }

  // The others stand still only while this rank's own thread has its turn.
  void check_thread(const std::string& what) const {
    if (this_rank() && this_rank()->rank() == rank_) return;
    throw std::logic_error(what + " of rank " + std::to_string(rank_) +
                           " is called on another thread than the rank's own");
  }
  int checked(int64_t root) const {
    if (root >= 0 && root < size_) return static_cast<int>(root);
    throw std::invalid_argument("root " + std::to_string(root) +
                                " is no rank of 0 to " + std::to_string(size_ - 1));
  }
  void check_pieces(const char* what, int64_t whole, int64_t piece) const {
    if (whole == piece * size_) return;
    throw std::invalid_argument(std::string(what) + ": " + std::to_string(whole) +
                                " elements are not " + std::to_string(size_) +
                                " pieces of " + std::to_string(piece));
  }

  Simulation::State& state_;
};

}  // namespace

c10::intrusive_ptr<c10d::Backend> make_backend(Simulation::State& state, int rank) {
  return c10::make_intrusive<Backend>(state, rank);
}

}  // namespace lockstep::simulator
