// c10d's reducer with its logger, called as Python's DDP calls them: for tests alone.
#pragma once

#include <memory>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "ddp/bucket.h"
#include "tests/random_net.h"
#include "tests/varied_net.h"

namespace lockstep::ddp {

using C10dBackend = c10d::ProcessGroup::BackendType;

// Told of as something else than it is, for what is said of a backend by its name.
class CalledOtherwise final : public c10d::Backend {
 public:
  CalledOtherwise(c10::intrusive_ptr<c10d::Backend> backend, std::string name)
      : Backend(backend->getRank(), backend->getSize()),
        backend_(std::move(backend)),
        name_(std::move(name)) {}

  const std::string getBackendName() const override { return name_; }
  c10::intrusive_ptr<c10d::Work> allreduce(
      std::vector<at::Tensor>& tensors,
      const c10d::AllreduceOptions& options) override {
    return backend_->allreduce(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> broadcast(
      std::vector<at::Tensor>& tensors,
      const c10d::BroadcastOptions& options) override {
    return backend_->broadcast(tensors, options);
  }

 private:
  c10::intrusive_ptr<c10d::Backend> backend_;
  std::string name_;
};

inline c10::intrusive_ptr<c10d::ProcessGroup> group_of(comm::ProcessGroup& group,
                                                       C10dBackend type) {
  auto result = c10::make_intrusive<c10d::ProcessGroup>(
      c10::make_intrusive<c10d::HashStore>(), group.rank(), group.size());
  result->setBackend(c10::DeviceType::CPU, type, group.backend());
  result->setDefaultBackend(type);
  return result;
}

// From the buckets that ours starts from.
class C10dLogger {
 public:
  C10dLogger(const std::vector<at::Tensor>& parameters, const TrainOptions& options,
             const Variation& variation, comm::ProcessGroup& group, C10dBackend type)
      : parameters_(parameters), variation_(variation) {
    reducer_ = std::make_shared<c10d::Reducer>(
        parameters, assign_buckets(parameters, variation.first_cap, variation.cap),
        group_of(group, type), std::vector<bool>(parameters.size(), false),
        variation.cap, variation.find_unused, variation.as_view,
        std::unordered_map<size_t, std::string>(),
        std::min(variation.first_cap, variation.cap),
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
        std::vector<int64_t>());
    logger_ = std::make_shared<c10d::Logger>(reducer_);
    reducer_->set_logger(logger_);
    if (variation.static_graph) reducer_->set_static_graph();
    logger_->set_construction_data_and_log(
        options.model, /*device_ids=*/{}, /*output_device=*/-1,
        options.ddp.broadcast_buffers, options.ddp.sync_batch_norm,
        variation.static_graph);
    if (options.ddp.join) logger_->set_uneven_input_join();
  }

  void pass(const VariedNet& net, int64_t pass, int rank) {
    if (pass % variation_.passes == 0) {
      for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
    }
    const bool reduces = (pass + 1) % variation_.passes == 0;
    if (reduces) {
      logger_->set_runtime_stats_and_log();
      reducer_->prepare_for_forward();
    }
    reducer_->rebuild_buckets();
    const at::Tensor output = net.forward(pass, rank);
    if (reduces) {
      const bool looks = variation_.find_unused && !variation_.static_graph;
      reducer_->prepare_for_backward(looks ? std::vector<at::Tensor>{output}
                                           : std::vector<at::Tensor>{});
    }
    RandomNet::loss(output).backward();
    if (variation_.static_graph && pass == 0) reducer_->delay_all_reduce();
  }

  training::DDPLoggingData data() const {
    const at::DDPLoggingData data = logger_->get_ddp_logging_data();
    return {data.strs_map, data.ints_map};
  }

 private:
  std::vector<at::Tensor> parameters_;
  Variation variation_;
  std::shared_ptr<c10d::Reducer> reducer_;
  std::shared_ptr<c10d::Logger> logger_;
};

}  // namespace lockstep::ddp
