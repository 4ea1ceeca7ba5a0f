#include "ddp/same_model.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "launch/listener.h"
#include "tests/program_run.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

Network net(int64_t hidden, bool batch_norm = false) {
  Network network(torch::nn::Linear(7, hidden));
  if (batch_norm) network->push_back(torch::nn::BatchNorm1d(hidden));
  network->push_back(torch::nn::Linear(hidden, 3));
  return network;
}

// What each of three ranks is told, whose rank 2 has another model.
std::vector<std::string> told(const std::function<Network()>& usual,
                              const std::function<Network()>& other) {
  std::vector<std::string> messages(3, "the same");
  run_thread_ranks(3, [&](const ThreadRank& at) {
    try {
      check_same_model(at.rank == 2 ? other() : usual(), at.group);
    } catch (const std::runtime_error& error) {
      messages[static_cast<size_t>(at.rank)] = error.what();
    }
  });
  return messages;
}

void expect_all(const std::vector<std::string>& messages, const std::string& wanted) {
  for (const std::string& message : messages) EXPECT_EQ(message, wanted);
}

const std::string kWayOut = "; give all ranks the same --model and --precision";

TEST(SameModelTest, EqualModelsPassWhateverTheirValues) {
  expect_all(told([] { return net(5); }, [] { return net(5); }), "the same");
}

TEST(SameModelTest, EveryRankIsToldTheFirstDifference) {
  const std::string rank2 = "rank 2 trains another model than rank 0: it has ";
  expect_all(told([] { return net(5); }, [] { return net(6); }),
             rank2 +
                 "parameter 0.weight: Float [6, 7] where rank 0 has parameter "
                 "0.weight: Float [5, 7]" +
                 kWayOut);
  expect_all(told([] { return net(5); },
                  [] {
                    Network wide = net(5);
                    wide->to(at::kDouble);
                    return wide;
                  }),
             rank2 +
                 "parameter 0.weight: Double [5, 7] where rank 0 has parameter "
                 "0.weight: Float [5, 7]" +
                 kWayOut);
  expect_all(told([] { return net(5); },
                  [] {
                    Network frozen = net(5);
                    frozen->parameters()[1].set_requires_grad(false);
                    return frozen;
                  }),
             rank2 +
                 "parameter 0.bias: Float [5], not trained where rank 0 has "
                 "parameter 0.bias: Float [5]" +
                 kWayOut);
}

TEST(SameModelTest, LayersMoreOrFewer) {
  const auto one = [] { return Network(torch::nn::Linear(7, 5)); };
  const auto two = [] {
    return Network(torch::nn::Linear(7, 5), torch::nn::Linear(5, 2));
  };
  const std::string rank2 = "rank 2 trains another model than rank 0: it has ";
  expect_all(told(one, two), rank2 +
                                 "parameter 1.weight: Float [2, 5] where rank 0 has "
                                 "nothing more" +
                                 kWayOut);
  expect_all(told(two, one), rank2 +
                                 "nothing more where rank 0 has parameter 1.weight: "
                                 "Float [2, 5]" +
                                 kWayOut);
}

// Each of these alone would hang the others, be ended by gloo, or let replicas part.
TEST(SameModelTest, EveryRankIsToldTheFirstOptionThatDiffers) {
  const auto told_of = [](const std::function<void(TrainOptions&)>& other) {
    std::vector<std::string> messages(3, "the same");
    run_thread_ranks(3, [&](const ThreadRank& at) {
      TrainOptions options;
      options.batch_size = 64 + at.rank;  // a rank's own
      if (at.rank == 1) other(options);
      try {
        check_same_model(net(5), at.group, options);
      } catch (const std::runtime_error& error) {
        messages[static_cast<size_t>(at.rank)] = error.what();
      }
    });
    return messages;
  };
  const std::string rank1 = "rank 1 was started with ",
                    same = "; give all ranks the same";
  expect_all(told_of([](TrainOptions&) {}), "the same");
  expect_all(told_of([](TrainOptions& o) { o.ddp.comm_hook = "fp16"; }),
             rank1 + "--comm-hook fp16 and rank 0 with --comm-hook allreduce" + same);
  expect_all(told_of([](TrainOptions& o) { o.ddp.bucket_cap_mb = 0.5; }),
             rank1 + "--bucket-cap-mb 0.5 and rank 0 with --bucket-cap-mb 25" + same);
  expect_all(told_of([](TrainOptions& o) { o.ddp.sync_batch_norm = true; }),
             rank1 + "--sync-batch-norm and rank 0 without --sync-batch-norm" + same);
  expect_all(told_of([](TrainOptions& o) { o.ddp.bucket_times_file = "mine"; }),
             rank1 + "--bucket-times and rank 0 without --bucket-times" + same);
  expect_all(told_of([](TrainOptions& o) { o.accumulate = 2; }),
             rank1 + "--accumulate 2 and rank 0 with --accumulate 1" + same);
  expect_all(told_of([](TrainOptions& o) { o.steps = 20; }),
             rank1 + "--steps 20 and rank 0 without --steps" + same);
  expect_all(told_of([](TrainOptions& o) { o.epochs = 2; }),
             rank1 + "--epochs 2 and rank 0 with --epochs 1" + same);
  expect_all(told_of([](TrainOptions& o) { o.lr = 0.5; }),
             rank1 + "--lr 0.5 and rank 0 with --lr 0.01" + same);
  expect_all(told_of([](TrainOptions& o) { o.drop_last = true; }),
             rank1 + "--drop-last and rank 0 without --drop-last" + same);
}

// Three programs, as a launcher that ends nobody would start them: every one ends by
// itself, soon after the first, though a collective would wait for half an hour.
TEST(SameModelTest, EveryProcessEndsAndNamesTheParameter) {
  const std::string port = std::to_string(launch::Listener().port());
  std::vector<std::unique_ptr<ProgramRun>> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.push_back(std::make_unique<ProgramRun>(
        "ddp",
        std::vector<std::string>{"--dataset", "synthetic", "--device", "cpu", "--model",
                                 rank == 2 ? "mlp-wide" : "mlp"},
        launch::Environment{{"RANK", std::to_string(rank)},
                            {"WORLD_SIZE", "3"},
                            {"MASTER_ADDR", "127.0.0.1"},
                            {"MASTER_PORT", port}}));
  }
  ASSERT_EQ(ranks[0]->status(), 1);
  for (const auto& rank : ranks) {
    const auto status = rank->process().wait_for(std::chrono::seconds(5));
    ASSERT_TRUE(status.has_value()) << "did not end";
    EXPECT_EQ(status->code, 1);
    EXPECT_EQ(rank->process().err(),
              "ddp: rank 2 trains another model than rank 0: it has parameter "
              "1.weight: Float [2048, 784] where rank 0 has parameter 1.weight: Float "
              "[256, 784]" +
                  kWayOut + "\n");
  }
}

}  // namespace
}  // namespace lockstep::ddp
