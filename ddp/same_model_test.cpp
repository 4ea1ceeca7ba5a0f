#include "ddp/same_model.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

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
