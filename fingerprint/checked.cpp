#include "fingerprint/checked.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "fingerprint/exchange.h"
#include "fingerprint/fingerprint.h"

namespace lockstep::fingerprint {
namespace {

using Tensors = std::vector<at::Tensor>;
using WorkPtr = c10::intrusive_ptr<c10d::Work>;
using BackendPtr = c10::intrusive_ptr<c10d::Backend>;

std::string name_of(const c10d::ReduceOp& operation) {
  switch (static_cast<c10d::ReduceOp::RedOpType>(operation)) {
    case c10d::ReduceOp::SUM:
      return "sum";
    case c10d::ReduceOp::AVG:
      return "mean";
    case c10d::ReduceOp::PRODUCT:
      return "product";
    case c10d::ReduceOp::MIN:
      return "min";
    case c10d::ReduceOp::MAX:
      return "max";
    default:
      return "reduction " +
             std::to_string(static_cast<c10d::ReduceOp::RedOpType>(operation));
  }
}

std::string seconds(std::chrono::milliseconds duration) {
  std::ostringstream text;
  text << static_cast<double>(duration.count()) / 1000 << " s";
  return text.str();
}

// By whatever name the wrapped one goes: who asks for it means what it can do.
class CheckedBackend final : public c10d::Backend, public comm::UpdatesShards {
 public:
  CheckedBackend(BackendPtr backend, c10::intrusive_ptr<c10d::Store> store,
                 std::chrono::milliseconds timeout, const comm::PeerWatchPtr& watch)
      : Backend(backend->getRank(), backend->getSize()),
        backend_(std::move(backend)),
        timeout_(timeout),
        exchange_(std::move(store), rank_, size_, timeout, watch) {}

  const std::string getBackendName() const override {
    return backend_->getBackendName();
  }
  c10d::ErrorType getError() override { return backend_->getError(); }
  bool supportsTensorAlloc(c10::DeviceIndex device) override {
    return backend_->supportsTensorAlloc(device);
  }
  at::Tensor allocateTensor(long elements, at::TensorOptions options) override {
    return backend_->allocateTensor(elements, options);
  }

  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override {
    check(Fingerprint{"all_reduce", name_of(options.reduceOp), "", {}}.of(tensors));
    return backend_->allreduce(tensors, options);
  }
  WorkPtr allreduce_coalesced(Tensors& tensors,
                              const c10d::AllreduceCoalescedOptions& options) override {
    check(Fingerprint{"all_reduce", name_of(options.reduceOp), "", {}}.of(tensors));
    return backend_->allreduce_coalesced(tensors, options);
  }
  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override {
    check(Fingerprint{
        "reduce",
        name_of(options.reduceOp),
        std::to_string(options.rootRank),
        {}}.of(tensors));
    return backend_->reduce(tensors, options);
  }
  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override {
    check(
        Fingerprint{"broadcast", "", std::to_string(options.rootRank), {}}.of(tensors));
    return backend_->broadcast(tensors, options);
  }
  WorkPtr barrier(const c10d::BarrierOptions& options) override {
    check({"barrier", "", "", {}});
    return backend_->barrier(options);
  }
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override {
    check(Fingerprint{"reduce_scatter", name_of(options.reduceOp), "", {}}.of(input).of(
        output));
    return backend_->_reduce_scatter_base(output, input, options);
  }
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input,
                          const c10d::AllgatherOptions& options) override {
    check(Fingerprint{"all_gather", "", "", {}}.of(input).of(output));
    return backend_->_allgather_base(output, input, options);
  }
  WorkPtr allgather(std::vector<Tensors>& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& options) override {
    check(Fingerprint{"all_gather", "", "", {}}.of(inputs));
    return backend_->allgather(outputs, inputs, options);
  }
  WorkPtr send(Tensors& tensors, int to, int tag) override {
    return backend_->send(tensors, to, tag);
  }
  WorkPtr recv(Tensors& tensors, int from, int tag) override {
    return backend_->recv(tensors, from, tag);
  }

  int64_t shard_elements(const Tensors& parameters) const override {
    return dynamic_cast<const UpdatesShards&>(*backend_).shard_elements(parameters);
  }
  WorkPtr update_shards(const comm::ShardedUpdate& update) override {
    check(Fingerprint{"update", "mean", "", {}}.of(update.gradients));
    return dynamic_cast<UpdatesShards&>(*backend_).update_shards(update);
  }

 private:
  void check(const Fingerprint& mine) {
    const auto texts = exchange_.show(
        to_text(mine), [&](const auto& came) { return who_is_missing(mine, came); });
    if (const auto differ = disagreement(fingerprints(texts))) {
      exchange_.hear_out(size_);
      throw comm::Disagreement(collective_number() + ": " + *differ);
    }
  }

  std::string collective_number() const {
    return "the ranks' collective " + std::to_string(exchange_.number());
  }

  static std::vector<std::optional<Fingerprint>> fingerprints(
      const Exchange::Texts& texts) {
    std::vector<std::optional<Fingerprint>> all;
    for (const auto& text : texts) {
      all.push_back(text ? std::optional(fingerprint_from(*text)) : std::nullopt);
    }
    return all;
  }

  std::string who_is_missing(const Fingerprint& mine,
                             const Exchange::Texts& texts) const {
    std::vector<int> came, missing;
    for (int rank = 0; rank < size_; ++rank) {
      (texts[static_cast<size_t>(rank)] ? came : missing).push_back(rank);
    }
    std::string text = collective_number() + ": waited " + seconds(timeout_) + " for " +
                       list_of(missing) + "; ";
    const auto differ = disagreement(fingerprints(texts));
    text += differ ? *differ
                   : list_of(came) + (came.size() == 1 ? " calls " : " call ") +
                         describe(mine);
    // Whoever does not check shows nothing.
    if (exchange_.number() == 1) text += "; is --debug detail given to all ranks?";
    return text;
  }

  BackendPtr backend_;
  const std::chrono::milliseconds timeout_;
  Exchange exchange_;
};

}  // namespace

bool wants_detail(const std::string& option) {
  if (option == "detail") return true;
  const char* variable = std::getenv("TORCH_DISTRIBUTED_DEBUG");
  if (variable == nullptr) return false;
  std::string word = variable;
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char letter) { return std::toupper(letter); });
  if (word == "DETAIL") return true;
  if (word == "OFF" || word == "INFO") return false;
  throw std::invalid_argument("TORCH_DISTRIBUTED_DEBUG is \"" + std::string(variable) +
                              "\"; it must be OFF, INFO or DETAIL");
}

std::shared_ptr<comm::ProcessGroup> checked(comm::ProcessGroup& group,
                                            c10::intrusive_ptr<c10d::Store> store,
                                            std::chrono::milliseconds timeout) {
  return std::make_shared<comm::ProcessGroup>(
      c10::make_intrusive<CheckedBackend>(group.backend(), std::move(store), timeout,
                                          group.watch()),
      group.device(), group.watch());
}

}  // namespace lockstep::fingerprint
