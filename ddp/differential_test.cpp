// The bucketed reducer beside LibTorch's own, the one behind Python's
// DistributedDataParallel: two equal nets drawn from a seed take the same steps, one
// under each, and must come to the same gradients by the same messages. Ranks are
// threads, and for fewer seeds processes: this program with --rank.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <iostream>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "ddp/bucket.h"
#include "ddp/reducers.h"
#include "launch/process.h"
#include "tests/program_run.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"
#include "tests/varied_net.h"

namespace lockstep::ddp {
namespace {

constexpr int64_t kReductions = 4;  // buckets are rebuilt after the first or second

// c10d's reducer, from the buckets that ours starts from.
class Theirs {
 public:
  Theirs(const Variation& variation, const std::vector<at::Tensor>& parameters,
         const ThreadRank& at)
      : parameters_(parameters), variation_(variation) {
    const int64_t first_cap = std::min(variation.first_cap, variation.cap);
    reducer_ = std::make_shared<c10d::Reducer>(
        parameters, assign_buckets(parameters, variation.first_cap, variation.cap),
        as_c10d_group(at.group, at::kCPU), std::vector<bool>(parameters.size(), false),
        variation.cap, variation.find_unused, variation.as_view,
        std::unordered_map<size_t, std::string>(), first_cap,
        /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
        std::vector<int64_t>());
    logger_ = std::make_shared<c10d::Logger>(reducer_);
    reducer_->set_logger(logger_);
    if (variation.static_graph) reducer_->set_static_graph();
  }

  void pass(const VariedNet& net, int64_t pass, int rank) {
    if (pass % variation_.passes == 0) {
      for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
    }
    reducer_->prepare_for_forward();
    reducer_->rebuild_buckets();
    const at::Tensor output = net.forward(pass, rank);
    if ((pass + 1) % variation_.passes == 0) {
      const bool looks = variation_.find_unused && !variation_.static_graph;
      reducer_->prepare_for_backward(looks ? std::vector<at::Tensor>{output}
                                           : std::vector<at::Tensor>{});
    }
    RandomNet::loss(output).backward();
    if (variation_.static_graph && pass == 0) reducer_->delay_all_reduce();
  }

 private:
  std::vector<at::Tensor> parameters_;
  Variation variation_;
  std::shared_ptr<c10d::Reducer> reducer_;
  std::shared_ptr<c10d::Logger> logger_;
};

std::string text_of(const std::vector<int64_t>& sizes) {
  std::string text;
  for (const int64_t size : sizes) text += " " + std::to_string(size);
  return text;
}

// What this rank's loss would give by itself.
std::vector<double> local_norms(const VariedNet& net, int64_t pass, int rank) {
  const auto gradients =
      torch::autograd::grad({RandomNet::loss(net.forward(pass, rank))},
                            net.parameters(), {}, {}, false, /*allow_unused=*/true);
  std::vector<double> norms;
  for (const at::Tensor& gradient : gradients) {
    norms.push_back(gradient.defined() ? gradient.norm().item<double>() : 0);
  }
  return norms;
}

// What differs between `ours` and `theirs`, in words; empty where nothing does.
std::string difference(const at::Tensor& ours, const at::Tensor& theirs, double norm) {
  if (ours.defined() != theirs.defined()) {
    return std::string("ours is ") + (ours.defined() ? "defined" : "undefined");
  }
  if (!ours.defined()) return "";
  const double bar = ours.scalar_type() == at::kDouble ? 1e-12 : 1e-6;
  const double size = std::max(theirs.norm().item<double>(), norm);
  const double error = (ours - theirs).norm().item<double>();
  return error <= bar * size
             ? ""
             : std::to_string(error) + " apart, of " + std::to_string(size);
}

// Trains both nets of a seed. Empty, or the first thing that is not equal.
std::string compare(uint64_t seed, const ThreadRank& at) {
  const Variation variation(seed);
  VariedNet our_net(variation), their_net(variation);
  TrainOptions options = caps(variation.first_cap, variation.cap);
  options.accumulate = variation.passes;
  options.ddp.find_unused_parameters = variation.find_unused;
  options.ddp.static_graph = variation.static_graph;
  options.ddp.gradient_as_bucket_view = variation.as_view;
  const auto ours =
      make_bucketed_reducer(named(our_net.parameters()), at.group, options);
  Theirs theirs(variation, their_net.parameters(), at);
  at.recording.hesitate(std::chrono::microseconds(variation.longest_delay_us));

  std::vector<double> norms(our_net.parameters().size(), 0);
  std::string launched;
  for (int64_t pass = 0; pass < kReductions * variation.passes; ++pass) {
    const std::string where = variation.text() + ", rank " + std::to_string(at.rank) +
                              " of " + std::to_string(at.size) + ", pass " +
                              std::to_string(pass);
    at.recording.take_all_reduced();
    ours->zero_grad();
    const at::Tensor output = our_net.forward(pass, at.rank);
    ours->prepare(output);
    RandomNet::loss(output).backward();
    ours->finalize();
    std::vector<int64_t> our_messages = at.recording.take_all_reduced();
    launched += text_of(our_messages) + ";";
    theirs.pass(their_net, pass, at.rank);
    std::vector<int64_t> their_messages = at.recording.take_all_reduced();
    // Of two types' last buckets c10d launches either first.
    if (variation.two_types) {
      std::sort(our_messages.begin(), our_messages.end());
      std::sort(their_messages.begin(), their_messages.end());
    }
    if (our_messages != their_messages) {
      return where + ": messages of" + text_of(our_messages) + ", c10d's of" +
             text_of(their_messages);
    }
    const std::vector<double> added = local_norms(our_net, pass, at.rank);
    for (size_t p = 0; p < norms.size(); ++p) norms[p] += added[p];
    if ((pass + 1) % variation.passes != 0) continue;
    const at::NoGradGuard no_grad;
    // The bar is relative to what the ranks put in, for means may cancel.
    at.group.all_reduce_mean(at::from_blob(norms.data(), norms.size(), at::kDouble))
        .wait();
    for (size_t p = 0; p < norms.size(); ++p) {
      at::Tensor our = our_net.parameters()[p], their = their_net.parameters()[p];
      const std::string text = difference(our.grad(), their.grad(), norms[p]);
      if (!text.empty())
        return where + ", parameter " + std::to_string(p) + ": " + text;
      if (!their.grad().defined()) continue;
      our.sub_(their.grad(), 0.1);  // both by the same, so that they stay together
      their.sub_(their.grad(), 0.1);
    }
    norms.assign(norms.size(), 0);
  }
  for (const std::string& rank : at.group.all_gather(launched)) {
    if (rank != launched) return variation.text() + ": ranks launch in other orders";
  }
  return "";
}

void compare_on_threads(int size, uint64_t first_seed, uint64_t seeds,
                        const std::string& backend = "gloo") {
  run_thread_ranks(
      size,
      [&](const ThreadRank& at) {
        for (uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
          const std::string text = compare(seed, at);
          ASSERT_EQ(text, "");
        }
      },
      backend);
}

TEST(BucketedReducer, IsC10dsOnTwoThreads) { compare_on_threads(2, 0, 110); }
TEST(BucketedReducer, IsC10dsOnThreeThreads) { compare_on_threads(3, 110, 40); }
TEST(BucketedReducer, IsC10dsOnFiveThreads) { compare_on_threads(5, 150, 30); }

TEST(BucketedReducer, IsC10dsOnThreeThreadsOverShm) {
  compare_on_threads(3, 200, 100, "shm");
}

class InProcesses : public testing::TestWithParam<std::string> {};

TEST_P(InProcesses, BucketedReducerIsC10ds) {
  const TestFolder place;
  std::vector<launch::Process> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    launch::Command command;
    command.argv = {"differential_test", "--rank",  std::to_string(rank), "3", "180",
                    place / "store",     GetParam()};
    command.program = "/proc/self/exe";
    command.err = launch::Output::kCapture;
    ranks.emplace_back(command);
  }
  for (launch::Process& rank : ranks) {
    const auto status = rank.wait_for(std::chrono::seconds(60));
    ASSERT_TRUE(status.has_value()) << "did not end";
    EXPECT_EQ(status->code, 0) << rank.err();
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, InProcesses, testing::Values("gloo", "shm"),
                         [](const auto& info) { return info.param; });

// One rank of a few: 20 seeds from argv[4].
int rank_main(char** argv) {
  at::set_num_threads(1);
  const int rank = std::atoi(argv[2]);
  const int size = std::atoi(argv[3]);
  const uint64_t first_seed = std::strtoull(argv[4], nullptr, 10);
  const auto store = c10::make_intrusive<c10d::FileStore>(argv[5], size);
  const shm::GroupPtr plain = make_test_group(store, rank, size, argv[6]);
  const device::AccountScope scope({rank, device::Category::other});
  const auto recording = c10::make_intrusive<RecordingBackend>(plain->backend());
  comm::ProcessGroup group(recording);
  for (uint64_t seed = first_seed; seed < first_seed + 20; ++seed) {
    const std::string text = compare(seed, {rank, size, group, *recording});
    if (text.empty()) continue;
    std::cerr << text << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::ddp

int main(int argc, char** argv) {
  if (argc > 6 && std::string(argv[1]) == "--rank") {
    return lockstep::ddp::rank_main(argv);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
