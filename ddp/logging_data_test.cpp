// The bucketed reducer's DDPLoggingData beside that of c10d::Logger, which Python's DDP
// returns from _get_ddp_logging_data(): the same nets, the same options, the same steps
// over gloo, and every field that both have is equal after each of them. Times cannot
// be; they are there, and in order.
#include <gtest/gtest.h>

#include <set>

#include "ddp/bucketed_reducer.h"
#include "logging/logger.h"
#include "tests/c10d_logger.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"
#include "tests/varied_net.h"

namespace lockstep::ddp {
namespace {

using Names = std::set<std::string>;

const Names kStrings = {"backend_name",
                        "bucket_sizes",
                        "cuda_visible_devices",
                        "device_ids",
                        "dtypes",
                        "master_addr",
                        "master_port",
                        "module_name",
                        "prev_iteration_grad_ready_order_indices",
                        "rebuilt_bucket_sizes",
                        "rebuilt_per_bucket_param_indices",
                        "torch_distributed_debug"};
const Names kGlooStrings = {"gloo_device_transport", "gloo_socket_ifname"};
const Names kNcclStrings = {
    "nccl_async_error_handling", "nccl_blocking_wait", "nccl_debug",
    "nccl_ib_timeout",           "nccl_nthreads",      "nccl_socket_ifname"};
const Names kInts = {"broadcast_buffers",
                     "bucket_cap_bytes",
                     "find_unused_parameters",
                     "gradient_as_bucket_view",
                     "has_rebuilt_buckets",
                     "has_sync_bn",
                     "is_multi_device_module",
                     "iteration",
                     "num_buckets_reduced",
                     "num_parameter_tensors",
                     "output_device",
                     "rank",
                     "total_parameter_size_bytes",
                     "unused_parameter_size",
                     "world_size"};
const Names kTimes = {
    "avg_backward_comm_time",      "avg_backward_compute_comm_overlap_time",
    "avg_backward_compute_time",   "avg_forward_compute_time",
    "backward_comm_time",          "backward_comm_time_end",
    "backward_comm_time_start",    "backward_compute_comm_overlap_time",
    "backward_compute_time",       "backward_compute_time_end",
    "backward_compute_time_start", "forward_compute_time",
    "forward_compute_time_start"};

TrainOptions options_of(const Variation& variation) {
  TrainOptions options = caps(variation.first_cap, variation.cap);
  options.model = "varied";
  options.accumulate = variation.passes;
  options.ddp.find_unused_parameters = variation.find_unused;
  options.ddp.static_graph = variation.static_graph;
  options.ddp.gradient_as_bucket_view = variation.as_view;
  options.ddp.broadcast_buffers = variation.seed % 2 == 0;
  options.ddp.sync_batch_norm = variation.seed % 3 == 0;
  options.ddp.join = variation.seed % 5 == 0;
  return options;
}

void our_pass(BucketedReducer& reducer, const VariedNet& net, int64_t pass, int rank) {
  run_pass(reducer, [&] { return net.forward(pass, rank); });
}

template <typename Value>
Names names_of(const std::map<std::string, Value>& fields) {
  Names names;
  for (const auto& [name, value] : fields) names.insert(name);
  return names;
}

template <typename Value>
std::map<std::string, Value> without_times(std::map<std::string, Value> fields) {
  for (const std::string& name : kTimes) fields.erase(name);
  return fields;
}

// Of two types' last buckets c10d launches either first: by its lists in order.
void sort_buckets(training::DDPLoggingData& data) {
  for (const char* name :
       {"rebuilt_bucket_sizes", "rebuilt_per_bucket_param_indices"}) {
    const auto field = data.strs_map.find(name);
    if (field == data.strs_map.end()) continue;
    std::multiset<std::string> buckets;
    std::istringstream text(field->second);
    for (std::string bucket; std::getline(text >> std::ws, bucket, ',');) {
      buckets.insert(bucket);
    }
    field->second.clear();
    for (const std::string& bucket : buckets) field->second += bucket + ";";
  }
}

void expect_equal(training::DDPLoggingData ours, training::DDPLoggingData theirs,
                  const Variation& variation, const std::string& when) {
  const std::string where = variation.text() + ", " + when;
  if (variation.two_types) {
    sort_buckets(ours);
    sort_buckets(theirs);
  }
  EXPECT_EQ(ours.strs_map, theirs.strs_map) << where;
  EXPECT_EQ(without_times(ours.ints_map), without_times(theirs.ints_map)) << where;
  EXPECT_EQ(names_of(ours.ints_map), names_of(theirs.ints_map)) << where;
}

// Nanoseconds.
void expect_in_order(const training::DDPLoggingData& data, int64_t before,
                     int64_t after) {
  const auto at = [&](const std::string& name) { return data.ints_map.at(name); };
  const std::vector<int64_t> times = {before,
                                      at("forward_compute_time_start"),
                                      at("backward_compute_time_start"),
                                      at("backward_compute_time_end"),
                                      at("backward_comm_time_end"),
                                      after};
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  EXPECT_LE(at("backward_compute_time_start"), at("backward_comm_time_start"));
  EXPECT_LE(at("backward_comm_time_start"), at("backward_comm_time_end"));
  EXPECT_EQ(at("forward_compute_time"),
            at("backward_compute_time_start") - at("forward_compute_time_start"));
  EXPECT_EQ(at("backward_compute_time"),
            at("backward_compute_time_end") - at("backward_compute_time_start"));
  EXPECT_EQ(at("backward_comm_time"),
            at("backward_comm_time_end") - at("backward_comm_time_start"));
  const int64_t overlap =
      at("backward_compute_time_end") - at("backward_comm_time_start");
  EXPECT_EQ(at("backward_compute_comm_overlap_time"), std::max<int64_t>(overlap, 0));
  EXPECT_LE(at("backward_compute_comm_overlap_time"),
            std::min(at("backward_compute_time"), at("backward_comm_time")));
  for (const std::string& name : kTimes) EXPECT_GE(at(name), 0) << name;
}

void compare(uint64_t seed, comm::ProcessGroup& group, int64_t reductions,
             C10dBackend type = C10dBackend::GLOO) {
  const Variation variation(seed);
  const VariedNet our_net(variation), their_net(variation);
  const TrainOptions options = options_of(variation);
  BucketedReducer reducer(named(our_net.parameters()), group, options);
  const auto logger = reducer.logger();
  C10dLogger theirs(their_net.parameters(), options, variation, group, type);
  expect_equal(logger->data(), theirs.data(), variation, "before");
  int64_t before = c10::getTime();
  for (int64_t pass = 0; pass < reductions * variation.passes; ++pass) {
    our_pass(reducer, our_net, pass, group.rank());
    theirs.pass(their_net, pass, group.rank());
    expect_equal(logger->data(), theirs.data(), variation,
                 "pass " + std::to_string(pass));
    if (testing::Test::HasFailure()) return;
    if (logger->data().ints_map.contains("forward_compute_time")) {
      expect_in_order(logger->data(), before, c10::getTime());
    }
  }
}

void on_gloo(int size, const std::function<void(comm::ProcessGroup&)>& work) {
  run_card_ranks(size, "gloo", work);
}

TEST(LoggingData, HasEveryFieldThatC10dHas) {
  on_gloo(2, [](comm::ProcessGroup& group) {
    const RandomNet net(3, at::kFloat);
    BucketedReducer reducer(named(net.parameters()), group, caps(100, 1000));
    for (int step = 0; step < 3; ++step) {
      reducer.zero_grad();
      const at::Tensor output = net.forward(net.batch(step, group.rank()));
      reducer.prepare(output);
      RandomNet::loss(output).backward();
      reducer.finalize();
    }
    Names strings = kStrings, ints = kInts;
    strings.insert(kGlooStrings.begin(), kGlooStrings.end());
    ints.insert(kTimes.begin(), kTimes.end());
    ints.insert("gloo_num_threads");
    EXPECT_EQ(names_of(reducer.logger()->data().strs_map), strings);
    EXPECT_EQ(names_of(reducer.logger()->data().ints_map), ints);
  });
}

TEST(LoggingData, IsC10dsOnTwoThreads) {
  on_gloo(2, [](comm::ProcessGroup& group) {
    for (uint64_t seed = 0; seed < 40; ++seed) compare(seed, group, 5);
  });
}

TEST(LoggingData, IsC10dsOnThreeThreads) {
  on_gloo(3, [](comm::ProcessGroup& group) {
    for (uint64_t seed = 60; seed < 75; ++seed) compare(seed, group, 12);
  });
}

TEST(LoggingData, IsSampledAsC10dDoes) {
  on_gloo(2, [](comm::ProcessGroup& group) { compare(4, group, 102); });
}

TEST(LoggingData, SaysOfTheEnvironmentWhatC10dSays) {
  const auto set = [](const char* name, const char* value) {
    value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  };
  const std::vector<const char*> names = {"MASTER_PORT",
                                          "MASTER_ADDR",
                                          "NCCL_SOCKET_IFNAME",
                                          "NCCL_BLOCKING_WAIT",
                                          "TORCH_NCCL_BLOCKING_WAIT",
                                          "NCCL_ASYNC_ERROR_HANDLING",
                                          "TORCH_NCCL_ASYNC_ERROR_HANDLING",
                                          "NCCL_DEBUG",
                                          "NCCL_NTHREADS",
                                          "NCCL_IB_TIMEOUT",
                                          "CUDA_VISIBLE_DEVICES",
                                          "GLOO_DEVICE_TRANSPORT"};
  for (const char* name : names) set(name, name);
  on_gloo(2, [](comm::ProcessGroup& group) {
    compare(5, group, 2);
    comm::ProcessGroup nccl(
        c10::make_intrusive<CalledOtherwise>(group.backend(), "nccl"));
    compare(6, nccl, 2, C10dBackend::NCCL);
    BucketedReducer reducer(named(VariedNet(Variation(6)).parameters()), nccl,
                            options_of(Variation(6)));
    for (const std::string& name : kNcclStrings) {
      EXPECT_TRUE(reducer.logger()->data().strs_map.contains(name)) << name;
    }
  });
  for (const char* name : names) set(name, nullptr);
}

TEST(LoggingData, WithoutOverlapThereIsNone) {
  on_gloo(2, [](comm::ProcessGroup& group) {
    const VariedNet net(Variation(8));
    TrainOptions options = options_of(Variation(8));
    options.ddp.overlap = false;
    options.accumulate = 1;
    BucketedReducer reducer(named(net.parameters()), group, options);
    const int64_t before = c10::getTime();
    for (int64_t pass = 0; pass < 4; ++pass) our_pass(reducer, net, pass, group.rank());
    const training::DDPLoggingData& data = reducer.logger()->data();
    expect_in_order(data, before, c10::getTime());
    EXPECT_EQ(data.ints_map.at("avg_backward_compute_comm_overlap_time"), 0);
    EXPECT_GT(data.ints_map.at("avg_backward_comm_time"), 0);
  });
}

TEST(LoggingData, NamesTheHookAsPythonDoes) {
  on_gloo(1, [](comm::ProcessGroup& group) {
    const std::vector<std::pair<std::string, std::string>> hooks = {
        {"fp16", "fp16_compress_hook"},
        {"bf16", "bf16_compress_hook"},
        {"powersgd", "powerSGD_hook"}};
    for (const auto& [option, name] : hooks) {
      TrainOptions options;
      options.ddp.comm_hook = option;
      const std::vector<at::Tensor> parameters = {at::zeros({3})};
      const logging::Logger logger(parameters, group, options, {{0}});
      EXPECT_EQ(logger.data().strs_map.at("comm_hook"), name);
    }
  });
}

}  // namespace
}  // namespace lockstep::ddp
