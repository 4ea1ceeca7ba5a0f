// Runs of local SGD and DiLoCo as users have them: epochs that end amid a round,
// checkpoints, a rank that fails, options that do not go together. What a meeting does
// is averaging_reducer_test.cpp's.
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/run_checkpoint.h"
#include "ddp/reducers.h"
#include "tests/ddp_on_threads.h"
#include "tests/error_of.h"
#include "tests/fake_link.h"
#include "tests/test_folder.h"

namespace lockstep::ddp {
namespace {

TrainOptions options(const std::string& reducer, int64_t every, int64_t steps) {
  TrainOptions options;
  options.model = "linear";
  options.dataset = "features100";
  options.precision = "fp64";
  options.steps = steps;
  options.batch_size = 6;
  options.device = "cpu";
  options.threads_per_card = 1;
  options.ddp.reducer = reducer;
  options.ddp.local_sgd = every;
  return options;
}

class AveragingRun : public testing::Test {
 protected:
  static void SetUpTestSuite() { add_recorded_backends(); }
};

// Five batches an epoch and a rank, of which the last step's meeting comes after two.
TEST_F(AveragingRun, MeetsWhenTheEpochsEnd) {
  TrainOptions epoch = options("local-sgd", 3, std::numeric_limits<int64_t>::max());
  epoch.batch_size = 820;
  epoch.backend = "recorded-shm";
  EXPECT_EQ(run(2, epoch).ranks[0]->messages, (std::vector<int64_t>{0, 0, 1, 0, 1}));
  // Resumed from a checkpoint of other ranks, whose steps were others: what is left
  // counts.
  epoch.start = {.step = 102, .epoch = 0, .samples = 0};
  const Trained resumed = run(2, epoch);
  EXPECT_EQ(resumed.ranks[0]->messages, (std::vector<int64_t>{0, 0, 1, 0, 1}));
}

// The first parameter, as training left it.
class KeepsFirst final : public training::StepObserver {
 public:
  explicit KeepsFirst(at::Tensor& kept) : kept_(kept) {}

 private:
  void finished(const torch::nn::Module& model) override {
    kept_ = model.parameters().front().detach().clone();
  }
  at::Tensor& kept_;
};

// Ends its rank's run amid a round.
class EndsAfterFour final : public training::StepObserver {
  void rests(int64_t steps, int64_t, bool) override { ends_ = steps == 4; }
  bool wants_end() override { return ends_; }
  bool ends_ = false;
};

// A run that ends before its time: the ranks' parameters are their mean all the same.
TEST_F(AveragingRun, MeetsWhereAnObserverEndsIt) {
  const TrainOptions options = ddp::options("local-sgd", 3, 9);
  std::vector<at::Tensor> ends(2);
  const auto reports = train_on_threads(2, options, [&](int rank, TrainOptions& mine) {
    mine.observers = {std::make_shared<EndsAfterFour>(),
                      std::make_shared<KeepsFirst>(ends.at(static_cast<size_t>(rank)))};
  });
  EXPECT_EQ(reports[0].losses.size(), 4U);
  EXPECT_TRUE(ends[0].equal(ends[1]));
}

TEST_F(AveragingRun, ItsTimeIsExposedInTheStepThatItEnds) {
  constexpr double kLatencyMs = 20;
  training::process_groups().add("slow", [](const TrainOptions&, const World& world) {
    return std::make_shared<comm::ProcessGroup>(c10::make_intrusive<FakeLink>(
        world.world_size, FakeLink::Seconds(kLatencyMs / 1e3), 1e12));
  });
  TrainOptions slow = options("diloco", 2, 5);
  slow.backend = "slow";
  const TrainReport report = train(slow, {.world_size = 2, .local_world_size = 2});
  double all = 0;
  for (const size_t meeting : {1U, 3U, 4U}) {
    EXPECT_GE(report.phases_ms.at("exposed_comm")[meeting], kLatencyMs) << meeting;
    EXPECT_GE(report.step_ms[meeting], kLatencyMs) << meeting;
    EXPECT_GT(report.phases_ms.at("comm")[meeting], 0) << meeting;
  }
  for (const double ms : report.phases_ms.at("comm")) all += ms;
  EXPECT_GE(all, 3 * kLatencyMs);
}

TEST_F(AveragingRun, ARankThatFailsIsMissedAtTheMeeting) {
  for (const std::string backend : {"gloo", "shm"}) {
    TrainOptions failing = options("diloco", 3, 9);
    failing.backend = backend;
    failing.timeout_s = 2;
    EXPECT_THROW(train_on_threads(2, failing,
                                  [&](int rank, TrainOptions& mine) {
                                    const auto eyes = std::make_shared<Eyes>();
                                    mine.observers = {eyes};
                                    if (rank != 1) return;
                                    eyes->at_step = [](int64_t step) {
                                      if (step == 4) throw std::runtime_error("no");
                                    };
                                  }),
                 std::runtime_error)
        << backend;
  }
}

// The checkpoint of a step is written after its meeting, and all ranks go on from it.
TEST_F(AveragingRun, AResumedRunIsTheOneThatNeverStopped) {
  for (const std::string reducer : {"local-sgd", "diloco"}) {
    const TestFolder folder;
    const auto part = [&](const std::string& name, int64_t steps, bool resume) {
      TrainOptions kept = options(reducer, 2, steps);
      kept.ddp.outer_momentum = 0;
      kept.checkpoint = {.folder = folder / name, .every = 4, .resume = resume};
      Trained trained;
      trained.ranks = {std::make_shared<Eyes>(), std::make_shared<Eyes>()};
      train_on_threads(2, kept, [&](int rank, TrainOptions& mine) {
        const auto checkpoint = std::make_shared<checkpoint::RunCheckpoint>(
            kept.checkpoint, checkpoint::Metadata(), rank, 2);
        mine.start = checkpoint->start();
        mine.observers = {checkpoint, trained.ranks[static_cast<size_t>(rank)]};
      });
      return trained;
    };
    const Trained whole = part("whole", 9, false);
    part("parts", 6, false);  // whose last checkpoint is of the last step
    const Trained rest = part("parts", 9, true);
    EXPECT_EQ(rest.ranks[0]->after.size(), 3U);
    for (const auto& eyes : rest.ranks) {
      EXPECT_TRUE(same(eyes->last(), whole.ranks[0]->last())) << reducer;
      EXPECT_TRUE(same(eyes->buffers, whole.ranks[0]->buffers)) << reducer;
    }
  }
}

struct Refusal {
  std::function<void(TrainOptions&)> asks;
  std::string says;
};

TEST_F(AveragingRun, RefusesWhatItDoesNotDo) {
  const std::string on_their_own =
      ": not with --reducer diloco, whose ranks train on their own between meetings; "
      "leave it out";
  const std::vector<Refusal> refusals = {
      {[](TrainOptions& o) { o.ddp.local_sgd = 0; },
       "--reducer diloco: how many steps from one meeting to the next? try --local-sgd "
       "50"},
      {[](TrainOptions& o) { o.ddp.reducer = "flat"; },
       "--local-sgd 5: --reducer flat brings the ranks together in every step; leave "
       "one of them out, or try --reducer diloco"},
      {[](TrainOptions& o) {
         o.ddp.reducer = "local-sgd";
         o.ddp.outer_lr = 1;
       },
       "--outer-lr and --outer-momentum: --reducer local-sgd takes no outer step; "
       "leave "
       "them out, or try --reducer diloco"},
      {[](TrainOptions& o) { o.ddp.shard_optimizer = true; },
       "--shard-optimizer steps parameters as their buckets come together: not with "
       "--reducer diloco; leave one of them out"},
      {[](TrainOptions& o) { o.ddp.find_unused_parameters = true; },
       "--find-unused-parameters" + on_their_own},
      {[](TrainOptions& o) { o.ddp.static_graph = true; },
       "--static-graph" + on_their_own},
      {[](TrainOptions& o) { o.ddp.gradient_as_bucket_view = false; },
       "--no-gradient-as-bucket-view" + on_their_own},
      {[](TrainOptions& o) { o.ddp.overlap = false; }, "--no-overlap" + on_their_own},
      {[](TrainOptions& o) { o.ddp.comm_hook = "fp16"; },
       "--comm-hook fp16" + on_their_own},
      {[](TrainOptions& o) { o.ddp.bucket_times_file = "f"; },
       "--bucket-times" + on_their_own},
      {[](TrainOptions& o) { o.ddp.sync_batch_norm = true; },
       "--sync-batch-norm" + on_their_own},
      {[](TrainOptions& o) { o.ddp.join = true; }, "--join" + on_their_own},
      {[](TrainOptions& o) { o.checkpoint = {.folder = "f", .every = 12}; },
       "--checkpoint-every 12: ranks meet every 5 steps and differ in between; try 10"},
      {[](TrainOptions& o) { o.checkpoint = {.folder = "f", .every = 3}; },
       "--checkpoint-every 3: ranks meet every 5 steps and differ in between; try 5"},
      {[](TrainOptions& o) {
         o.checkpoint = {.folder = "f", .every = std::numeric_limits<int64_t>::max()};
       },
       "--checkpoint-every 9223372036854775807: ranks meet every 5 steps and differ in "
       "between; try 9223372036854775805"},
      {[](TrainOptions& o) {
         o.checkpoint = {.folder = "f", .every = 10};
         o.momentum = 0.9;
       },
       "--checkpoint: not with --reducer diloco and --momentum, of which each rank has "
       "its own and rank 0's is kept; leave one of them out"},
      {[](TrainOptions& o) { o.checkpoint.folder = "f"; },
       "--checkpoint: not with --reducer diloco and its outer momentum, which is not "
       "kept; leave it out, or try --outer-momentum 0"}};
  TrainOptions right = options("diloco", 5, 1);
  check_reducer(right);
  for (const Refusal& refusal : refusals) {
    TrainOptions wrong = right;
    refusal.asks(wrong);
    EXPECT_EQ(error_of([&] { check_reducer(wrong); }), refusal.says);
  }
  right.ddp.outer_momentum = 0;
  right.checkpoint = {.folder = "f", .every = 10};
  check_reducer(right);
}

}  // namespace
}  // namespace lockstep::ddp
