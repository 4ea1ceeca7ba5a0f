// Buckets' times as the reducer notes them, in an order that cannot be otherwise. Ranks
// that are threads have one clock, so theirs can be held against each other's. The file
// that comes of it: bucket_times_file_test.cpp.
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "ddp/bucketed_reducer.h"
#include "tests/possible_times.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"
#include "timing/clock_offset.h"
#include "timing/replay.h"

namespace lockstep::ddp {
namespace {

using timing::BucketTimes;
using timing::expect_in_order;
using timing::expect_possible;
using timing::expect_together;
using timing::StepTimes;

TrainOptions recorded(TrainOptions options) {
  options.ddp.bucket_times_file = "somewhere";
  return options;
}

void pass(Reducer& reducer, const RandomNet& net, int step, int rank) {
  run_pass(reducer, [&] { return net.forward(net.batch(step, rank)); });
}

struct Way {
  std::string name;
  std::string backend;
  bool overlap;
  std::string hook;
};

class Ways : public testing::TestWithParam<Way> {};

TEST_P(Ways, TimesAreInAnOrderThatCanBe) {
  const Way way = GetParam();
  constexpr int kRanks = 3, kSteps = 4;
  std::vector<std::vector<StepTimes>> of_rank(kRanks);
  int64_t bytes = 0;
  run_thread_ranks(
      kRanks,
      [&](const ThreadRank& at) {
        at.recording.hesitate(std::chrono::microseconds(2000));
        const RandomNet net(2, at::kDouble);
        TrainOptions options = recorded(caps(200, 600));
        options.ddp.overlap = way.overlap;
        options.ddp.comm_hook = way.hook;
        options.accumulate = 2;
        options.start.step = 7;
        const auto made =
            make_bucketed_reducer(named(net.parameters()), at.group, options);
        for (int i = 0; i < 2 * kSteps; ++i) pass(*made, net, i, at.rank);
        const auto* recorder =
            dynamic_cast<BucketedReducer&>(*made).logger()->recorder();
        of_rank[static_cast<size_t>(at.rank)] = recorder->steps();
        if (at.rank != 0) return;
        for (const at::Tensor& parameter : net.parameters()) {
          bytes += static_cast<int64_t>(parameter.nbytes());
        }
      },
      way.backend);
  for (size_t i = 0; i < kSteps; ++i) {
    std::vector<StepTimes> ranks;
    for (size_t r = 0; r < kRanks; ++r) {
      ASSERT_EQ(of_rank[r].size(), kSteps);
      ranks.push_back(of_rank[r][i]);
      EXPECT_EQ(ranks[r].rank, static_cast<int>(r));
      EXPECT_EQ(ranks[r].step, 7 + static_cast<int64_t>(i));
      EXPECT_GT(ranks[r].buckets.size(), 2);
      expect_possible(ranks[r], way.overlap);
      EXPECT_EQ(
          std::accumulate(ranks[r].buckets.begin(), ranks[r].buckets.end(), int64_t{0},
                          [](int64_t sum, const BucketTimes& bucket) {
                            return sum + bucket.bytes;
                          }),
          bytes);
      if (i > 0) EXPECT_GE(ranks[r].begin_us, of_rank[r][i - 1].reduced_us);
    }
    expect_together(ranks);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Ways,
    testing::Values(Way{"Gloo", "gloo", true, "allreduce"},
                    Way{"GlooWithoutOverlap", "gloo", false, "allreduce"},
                    Way{"GlooByAHook", "gloo", true, "fp16"},
                    Way{"Shm", "shm", true, "allreduce"},
                    Way{"GlooBySeveralCollectives", "gloo", true, "powersgd"},
                    Way{"ShmByAHook", "shm", true, "bf16"}),
    [](const auto& info) { return info.param.name; });

// Backward stops between two buckets until the first one's collective is over: its
// times lie before that moment, and the second one's behind it.
TEST(BucketTimes, AreTakenWhenThingsHappen) {
  run_thread_ranks(2, [](const ThreadRank& at) {
    const at::Tensor late = at::full({3}, 2.0).requires_grad_();
    const at::Tensor early = at::full({5}, 2.0).requires_grad_();
    BucketedReducer reducer({{"late", late}, {"early", early}}, at.group,
                            recorded(caps(0, 0)));
    for (int step = 0; step < 3; ++step) {
      reducer.zero_grad();
      const at::Tensor between = at::tanh(late.sum());
      double ready_us = 0, over_us = 0;
      between.register_hook([&](const at::Tensor&) {
        ready_us = timing::steady_us();
        while (at.group.take_spans().empty()) std::this_thread::yield();
        over_us = timing::steady_us();
      });
      const at::Tensor output = (early * between).sum();
      reducer.prepare(output);
      at.group.take_spans();
      at.group.keep_spans(true);
      output.backward();
      reducer.finalize();
      const StepTimes& times = reducer.logger()->recorder()->steps().back();
      ASSERT_EQ(times.buckets.size(), 2);
      const BucketTimes& first = times.buckets[0];
      expect_in_order({first.ready_us, first.launch_us, ready_us}, "before");
      expect_in_order({first.launch_us, first.finish_us, over_us}, "over");
      expect_in_order({over_us, times.buckets[1].ready_us}, "behind");
    }
  });
}

TEST(BucketTimes, NobodyLooksWithoutAFile) {
  run_thread_ranks(1, [](const ThreadRank& at) {
    const RandomNet net(2, at::kDouble);
    BucketedReducer reducer(named(net.parameters()), at.group, caps(0, 0));
    EXPECT_EQ(reducer.logger()->recorder(), nullptr);
  });
}

TEST(BucketTimes, AStepThatThrewIsNone) {
  run_thread_ranks(2, [](const ThreadRank& at) {
    const RandomNet net(2, at::kDouble);
    BucketedReducer reducer(named(net.parameters()), at.group, recorded(caps(0, 0)));
    pass(reducer, net, 0, at.rank);
    reducer.zero_grad();
    reducer.prepare(net.forward(net.batch(1, at.rank)));
    pass(reducer, net, 1, at.rank);  // gives it up
    const std::vector<StepTimes>& steps = reducer.logger()->recorder()->steps();
    ASSERT_EQ(steps.size(), 2);
    EXPECT_EQ(steps[1].step, 1);
    expect_possible(steps[1], true);
  });
}

// Where each collective is over before backward goes on there is nothing to gain, and
// the step replays to itself, but for the moments between ready and launch.
class OneAtATime final : public c10d::Backend {
 public:
  explicit OneAtATime(c10::intrusive_ptr<c10d::Backend> backend)
      : Backend(backend->getRank(), backend->getSize()), backend_(std::move(backend)) {}

  const std::string getBackendName() const override { return "gloo"; }
  c10::intrusive_ptr<c10d::Work> allreduce(
      std::vector<at::Tensor>& tensors,
      const c10d::AllreduceOptions& options) override {
    auto work = backend_->allreduce(tensors, options);
    work->wait();
    return work;
  }
  c10::intrusive_ptr<c10d::Work> broadcast(
      std::vector<at::Tensor>& tensors,
      const c10d::BroadcastOptions& options) override {
    return backend_->broadcast(tensors, options);
  }

 private:
  c10::intrusive_ptr<c10d::Backend> backend_;
};

TEST(BucketTimes, AStepWithoutAnythingToGainReplaysToItself) {
  std::vector<std::vector<StepTimes>> of_rank(2);
  run_card_ranks(2, "gloo", [&](comm::ProcessGroup& gloo) {
    comm::ProcessGroup group(c10::make_intrusive<OneAtATime>(gloo.backend()));
    const RandomNet net(2, at::kDouble);
    BucketedReducer reducer(named(net.parameters()), group, recorded(caps(0, 0)));
    for (int i = 0; i < 5; ++i) pass(reducer, net, i, group.rank());
    of_rank[static_cast<size_t>(group.rank())] = reducer.logger()->recorder()->steps();
  });
  for (size_t i = 0; i + 1 < of_rank[0].size(); ++i) {
    const std::vector<StepTimes> ranks = {of_rank[0][i], of_rank[1][i]};
    const double end = std::max(of_rank[0][i + 1].begin_us, of_rank[1][i + 1].begin_us);
    const timing::Replay step = timing::replay_of(ranks, end);
    double moments = 0;
    for (size_t b = 0; b < ranks[0].buckets.size(); ++b) {
      moments +=
          std::max(ranks[0].buckets[b].launch_us, ranks[1].buckets[b].launch_us) -
          step.ready_us[b];
    }
    EXPECT_LE(timing::ideal_end_us(step), end + 0.01);
    EXPECT_GE(timing::ideal_end_us(step), end - moments - 0.01);
    EXPECT_GE(timing::sync_end_us(step), timing::ideal_end_us(step));
  }
}

}  // namespace
}  // namespace lockstep::ddp
