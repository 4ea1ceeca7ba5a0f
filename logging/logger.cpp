#include "logging/logger.h"

#include <c10/util/ApproximateClock.h>

#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "comm/gloo.h"

namespace lockstep::logging {
namespace {

using training::DDPLoggingData;

constexpr int64_t kAlwaysSampled = 10;
constexpr int64_t kSampleEvery = 100;

template <typename Values>
std::string joined(const char* between, const Values& values) {
  std::ostringstream text;
  for (auto value = values.begin(); value != values.end(); ++value) {
    text << (value == values.begin() ? "" : between) << *value;
  }
  return text.str();
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "N/A" : value;
}

void set_environment(const comm::ProcessGroup& group, DDPLoggingData& data) {
  std::vector<std::pair<const char*, const char*>> fields = {
      {"master_port", "MASTER_PORT"},
      {"master_addr", "MASTER_ADDR"},
      {"torch_distributed_debug", "TORCH_DISTRIBUTED_DEBUG"},
      {"cuda_visible_devices", "CUDA_VISIBLE_DEVICES"}};
  if (group.backend_name() == "nccl") {
    fields.insert(fields.end(),
                  {{"nccl_socket_ifname", "NCCL_SOCKET_IFNAME"},
                   {"nccl_blocking_wait", "TORCH_NCCL_BLOCKING_WAIT"},
                   {"nccl_async_error_handling", "TORCH_NCCL_ASYNC_ERROR_HANDLING"},
                   {"nccl_debug", "NCCL_DEBUG"},
                   {"nccl_nthreads", "NCCL_NTHREADS"},
                   {"nccl_ib_timeout", "NCCL_IB_TIMEOUT"}});
  }
  if (group.backend_name() == "gloo") {
    fields.insert(fields.end(), {{"gloo_socket_ifname", "GLOO_SOCKET_IFNAME"},
                                 {"gloo_device_transport", "GLOO_DEVICE_TRANSPORT"}});
    if (const auto threads = comm::gloo_threads(group)) {
      data.ints_map["gloo_num_threads"] = *threads;
    }
  }
  for (const auto& [field, variable] : fields) {
    data.strs_map[field] = environment(variable);
  }
}

// As Python's DDP says: the name of the function that was registered.
std::string hook_name(const std::string& comm_hook) {
  static const std::map<std::string, std::string> kNames = {
      {"fp16", "fp16_compress_hook"},
      {"bf16", "bf16_compress_hook"},
      {"powersgd", "powerSGD_hook"}};
  const auto name = kNames.find(comm_hook);
  return name == kNames.end() ? comm_hook : name->second;
}

std::vector<int64_t> bytes_of(const BucketMembers& assignment,
                              const std::vector<int64_t>& of_parameter) {
  std::vector<int64_t> bytes;
  for (const std::vector<size_t>& members : assignment) {
    bytes.push_back(0);
    for (const size_t parameter : members) bytes.back() += of_parameter[parameter];
  }
  return bytes;
}

}  // namespace

Logger::Logger(const std::vector<at::Tensor>& parameters,
               const comm::ProcessGroup& group, const TrainOptions& options,
               const BucketMembers& assignment)
    : on_cpu_(parameters.front().is_cpu()),
      find_unused_(options.ddp.find_unused_parameters) {
  const training::DdpOptions& ddp = options.ddp;
  int64_t total = 0;
  std::set<std::string> types;
  for (const at::Tensor& parameter : parameters) {
    bytes_.push_back(static_cast<int64_t>(parameter.nbytes()));
    total += bytes_.back();
    types.emplace(parameter.dtype().name());
  }
  bucket_bytes_ = bytes_of(assignment, bytes_);
  std::vector<int> device_ids;
  if (!on_cpu_) device_ids.push_back(parameters.front().device().index());

  auto& ints = data_.ints_map;
  auto& strs = data_.strs_map;
  strs["module_name"] = options.model;
  ints["world_size"] = group.size();
  ints["rank"] = group.rank();
  ints["iteration"] = 0;
  ints["is_multi_device_module"] = 0;
  ints["num_parameter_tensors"] = std::ssize(parameters);
  ints["total_parameter_size_bytes"] = total;
  strs["dtypes"] = joined(", ", types);
  strs["bucket_sizes"] = joined(", ", bucket_bytes_);
  set_environment(group, data_);
  strs["device_ids"] = joined(", ", device_ids);
  ints["output_device"] = on_cpu_ ? -1 : device_ids.front();
  ints["broadcast_buffers"] = ddp.broadcast_buffers ? 1 : 0;
  ints["has_sync_bn"] = ddp.sync_batch_norm ? 1 : 0;
  ints["bucket_cap_bytes"] = static_cast<int64_t>(ddp.bucket_cap_mb * 1024 * 1024);
  ints["find_unused_parameters"] = ddp.find_unused_parameters ? 1 : 0;
  ints["gradient_as_bucket_view"] = ddp.gradient_as_bucket_view ? 1 : 0;
  strs["backend_name"] = group.backend_name();
  // Said only where they are so.
  if (ddp.static_graph) ints["static_graph"] = 1;
  if (ddp.join) ints["join_uneven_inputs"] = 1;
  if (ddp.comm_hook != "allreduce") strs["comm_hook"] = hook_name(ddp.comm_hook);

  if (!ddp.bucket_times_file.empty()) {
    recorder_ = std::make_unique<timing::Recorder>(group.rank(), options.start.step);
  }
}

void Logger::rebuilt(const BucketMembers& assignment) {
  rebuilt_ = assignment;
  bucket_bytes_ = bytes_of(assignment, bytes_);
}

void Logger::unused(const std::vector<size_t>& parameters) {
  unused_bytes_ = 0;
  for (const size_t parameter : parameters) unused_bytes_ += bytes_[parameter];
}

void Logger::note_now(Event event) {
  events_[static_cast<size_t>(event)] = c10::getTime();
}

void Logger::count_pass() {
  ++passes_;
  samples_ = passes_ <= kAlwaysSampled || passes_ % kSampleEvery == 0;
  note(Event::forward_start);
}

// A duration that does not go forward, as the overlap of buckets that are sent when
// backward is over, is 0, and left out of the mean.
void Logger::set_duration(const std::string& field, Event start, Event end) {
  auto& ints = data_.ints_map;
  int64_t& mean = ints["avg_" + field];
  int64_t& last = ints[field];
  last = 0;
  if (at(end) < at(start)) return;
  last = at(end) - at(start);
  mean = (last + mean * (sampled_ - 1)) / sampled_;
}

void Logger::set_runtime_stats() {
  ++sampled_;
  auto& ints = data_.ints_map;
  auto& strs = data_.strs_map;
  ints["iteration"] = passes_;
  ints["unused_parameter_size"] = unused_bytes_;
  // c10d counts none of the first pass of a static graph, which is not overlapped.
  const bool first_static = passes_ == 1 && ints.contains("static_graph");
  ints["num_buckets_reduced"] = first_static ? 0 : std::ssize(bucket_bytes_);
  ints.emplace("has_rebuilt_buckets", 0);
  if (!rebuilt_.empty()) {
    ints["has_rebuilt_buckets"] = 1;
    strs["rebuilt_bucket_sizes"] = joined(", ", bucket_bytes_);
    std::vector<std::string> members;
    for (const std::vector<size_t>& bucket : rebuilt_) {
      members.push_back(joined(" ", bucket));
    }
    strs["rebuilt_per_bucket_param_indices"] = joined(", ", members);
    rebuilt_.clear();
  }
  if (!ready_order_.empty()) {
    strs["prev_iteration_grad_ready_order_indices"] = joined(", ", ready_order_);
  }
  if (!on_cpu_) return;
  using E = Event;
  set_duration("forward_compute_time", E::forward_start, E::backward_compute_start);
  set_duration("backward_compute_time", E::backward_compute_start,
               E::backward_compute_end);
  set_duration("backward_comm_time", E::backward_comm_start, E::backward_comm_end);
  set_duration("backward_compute_comm_overlap_time", E::backward_comm_start,
               E::backward_compute_end);
  ints["forward_compute_time_start"] = at(E::forward_start);
  ints["backward_compute_time_start"] = at(E::backward_compute_start);
  ints["backward_comm_time_start"] = at(E::backward_comm_start);
  ints["backward_compute_time_end"] = at(E::backward_compute_end);
  ints["backward_comm_time_end"] = at(E::backward_comm_end);
}

}  // namespace lockstep::logging
