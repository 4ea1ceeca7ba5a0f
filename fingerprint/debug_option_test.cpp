// --debug detail as it is used: every reducer ends where it ends without, in threads;
// real ranks have the same losses, and say so where they were started differently.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "ddp/reducers.h"
#include "fingerprint/checked.h"
#include "tests/random_net.h"
#include "tests/ranks_by_hand.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

// What a few steps make of the parameters.
std::vector<at::Tensor> trained(const std::string& reducer, comm::ProcessGroup& group) {
  RandomNet net(5, at::kDouble);
  const std::vector<at::Tensor> parameters = net.parameters();
  const auto of_group =
      reducers().at(reducer)(named(parameters), group, caps(200, 3000));
  for (int step = 0; step < 4; ++step) {
    of_group->zero_grad();
    const at::Tensor output = net.forward(net.batch(step, group.rank()),
                                          /*turned=*/group.rank() % 2 == 1);
    of_group->prepare(output);
    RandomNet::loss(output).backward();
    of_group->finalize();
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& one : parameters) gradients.push_back(one.grad());
    net.descend(gradients);
  }
  return parameters;
}

TEST(CheckedReducers, TrainAsTheyDoUnchecked) {
  for (const std::string backend : {"gloo", "shm"}) {
    for (const std::string reducer : {"naive", "flat", "bucketed", "c10d"}) {
      SCOPED_TRACE(reducer + " over " + backend);
      const auto store = c10::make_intrusive<c10d::HashStore>();
      run_card_ranks(3, backend, [&](comm::ProcessGroup& group) {
        const std::vector<at::Tensor> usual = trained(reducer, group);
        const auto checked = fingerprint::checked(group, store, shm::kTestTimeout);
        const std::vector<at::Tensor> same = trained(reducer, *checked);
        for (size_t i = 0; i < usual.size(); ++i) {
          EXPECT_TRUE(same[i].equal(usual[i])) << "parameter " << i;
        }
      });
    }
  }
}

TEST(DebugOption, LossesAreThoseWithout) {
  const TestFolder place;
  const auto losses = [&](const std::vector<std::string>& options,
                          const launch::Environment& environment = {}) {
    ProgramRun run(
        "ddp",
        std::vector<std::string>{"--model", "linear", "--dataset", "features100",
                                 "--device", "cpu", "--gpus", "2", "--steps", "5",
                                 "--quiet", "--metrics-file", place / "metrics"} +
            options,
        environment);
    EXPECT_EQ(run.status(), 0) << run.process().err();
    std::vector<std::string> result = lines_of(read_text(place / "metrics"));
    for (std::string& line : result) line.resize(line.find("\"step_ms\""));
    return result;
  };
  const std::vector<std::string> usual = losses({});
  EXPECT_EQ(usual.size(), 5u);
  EXPECT_EQ(losses({"--debug", "detail"}), usual);
  EXPECT_EQ(losses({"--backend", "gloo", "--reducer", "c10d"},
                   {{"TORCH_DISTRIBUTED_DEBUG", "DETAIL"}}),
            usual);
}

TEST(DebugOption, AnotherWordInPyTorchsVariableIsRefused) {
  ProgramRun run("ddp",
                 {"--model", "linear", "--dataset", "features100", "--device", "cpu",
                  "--steps", "1"},
                 {{"TORCH_DISTRIBUTED_DEBUG", "VERBOSE"}});
  expect_refusal(run, 2, {"ddp: ", "\"VERBOSE\"", "OFF, INFO or DETAIL"});
}

// Nothing tells before (ddp/same_model.h) that one of them takes more steps: its
// batches are its own. Without --debug it hangs, or adds up what does not belong
// together.
TEST(DebugOption, RanksThatCallDifferentlySaySo) {
  RanksByHand ranks(2,
                    {"--model", "linear", "--dataset", "features100", "--device", "cpu",
                     "--backend", "gloo", "--debug", "detail", "--quiet"},
                    "127.0.0.1", [](int rank, std::vector<std::string> command) {
                      return command + std::vector<std::string>{
                                           "--batch-size", rank == 0 ? "2048" : "1024"};
                    });
  ranks.let_go();
  for (int rank = 0; rank < 2; ++rank) {
    expect_refusal(
        ranks[rank], 1,
        {"ddp: the ranks' collective ", ": rank 0 calls all_gather of [",
         ", rank 1 calls all_reduce of [", "] Float, mean; they differ in "});
  }
}

}  // namespace
}  // namespace lockstep::ddp
