// LibTorch's own reducer behind our three calls, used as Python's
// DistributedDataParallel uses it (torch/nn/parallel/distributed.py), with its quick
// options: gradients as bucket views, and undefined between steps. Over any backend of
// ours. It waits for its collectives within backward, so none of its time counts as
// exposed.
#include <algorithm>
#include <limits>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "ddp/passes.h"
#include "ddp/reducers.h"
#include "device/memory_ledger.h"

namespace lockstep::ddp {
namespace {

using c10dGroup = c10::intrusive_ptr<c10d::ProcessGroup>;

c10dGroup as_c10d_group(comm::ProcessGroup& group, at::Device device) {
  constexpr auto kType = c10d::ProcessGroup::BackendType::CUSTOM;
  const auto store = c10::make_intrusive<c10d::HashStore>();  // asked for nothing
  auto result =
      c10::make_intrusive<c10d::ProcessGroup>(store, group.rank(), group.size());
  result->setBackend(device.type(), kType, group.backend());
  result->setDefaultBackend(kType);
  return result;
}

class C10dReducer final : public Reducer {
 public:
  C10dReducer(const NamedParameters& parameters, comm::ProcessGroup& group,
              const TrainOptions& options)
      : parameters_(tensors_of(parameters)),
        static_graph_(options.ddp.static_graph),
        find_unused_(options.ddp.find_unused_parameters && !static_graph_),
        passes_(options.accumulate) {
    const auto bytes = [](double mib) {
      return static_cast<int64_t>(mib * 1024 * 1024);
    };
    const int64_t cap = bytes(options.ddp.bucket_cap_mb);
    const int64_t first_cap = std::min(cap, bytes(options.ddp.first_bucket_cap_mb));
    // As Python has it: one bucket a type until they are rebuilt.
    const std::vector<size_t> limits =
        find_unused_ ? std::vector<size_t>{static_cast<size_t>(first_cap),
                                           static_cast<size_t>(cap)}
                     : std::vector<size_t>{std::numeric_limits<size_t>::max()};
    auto buckets =
        std::get<0>(c10d::compute_bucket_assignment_by_size(parameters_, limits));
    std::reverse(buckets.begin(), buckets.end());
    std::unordered_map<size_t, std::string> names;
    for (const model::NamedParameter& parameter : parameters) {
      names.emplace(names.size(), parameter.name);
    }
    const device::CategoryScope category(device::Category::buckets);
    reducer_ = std::make_shared<c10d::Reducer>(
        parameters_, buckets, as_c10d_group(group, parameters_.front().device()),
        std::vector<bool>(parameters_.size(), false), cap, find_unused_,
        options.ddp.gradient_as_bucket_view, names, first_cap,
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
        std::vector<int64_t>());
    logger_ = std::make_shared<c10d::Logger>(reducer_);
    reducer_->set_logger(logger_);
    if (static_graph_) reducer_->set_static_graph();
  }

  void zero_grad() override {
    if (passes_.fresh()) {
      for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
    }
    reducer_->prepare_for_forward();
    const device::CategoryScope category(device::Category::buckets);
    reducer_->rebuild_buckets();
  }

  void prepare(const at::Tensor& logits) override {
    if (!passes_.last()) return;
    std::vector<at::Tensor> outputs;
    if (find_unused_) outputs.push_back(logits);
    reducer_->prepare_for_backward(outputs);
  }

  void finalize() override {
    const bool reduced = passes_.last();
    if (reduced && static_graph_ && !learned_) {
      reducer_->delay_all_reduce();
      learned_ = true;
    }
    passes_.end(reduced);
  }

 private:
  std::vector<at::Tensor> parameters_;
  bool static_graph_;
  bool find_unused_;
  bool learned_ = false;  // of a static graph, in its first pass
  Passes passes_;
  std::shared_ptr<c10d::Reducer> reducer_;
  std::shared_ptr<c10d::Logger> logger_;
};

}  // namespace

ReducerPtr make_c10d_reducer(const NamedParameters& parameters,
                             comm::ProcessGroup& group, const TrainOptions& options) {
  return std::make_unique<C10dReducer>(parameters, group, options);
}

}  // namespace lockstep::ddp
