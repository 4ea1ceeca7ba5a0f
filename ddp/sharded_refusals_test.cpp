// What --shard-optimizer does not do is refused, before it does it by half.
#include <gtest/gtest.h>

#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

ReducerPtr make_sharded(const std::vector<at::Tensor>& parameters,
                        comm::ProcessGroup& group) {
  TrainOptions options = caps(0, 0);
  options.momentum = 0.9;
  options.ddp.shard_optimizer = true;
  return reducers().at("bucketed")(named(parameters), group, options);
}

class ShardedRefusal : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Backends, ShardedRefusal, testing::Values("gloo", "shm"),
                         [](const auto& info) { return info.param; });

// What the work throws, without LibTorch's trace.
std::string thrown_by(const std::function<void()>& work) {
  try {
    work();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}

TEST_P(ShardedRefusal, RefusesParametersThatItCannotStep) {
  run_card_ranks(1, GetParam(), [&](comm::ProcessGroup& group) {
    const auto refused = [&group](const at::Tensor& parameter) {
      return thrown_by([&] { make_sharded({parameter}, group); });
    };
    EXPECT_EQ(refused(at::zeros({3}, at::kHalf).requires_grad_()),
              "--shard-optimizer steps Float and Double, not Half; leave it out");
    EXPECT_EQ(refused(at::zeros({3}, at::kBFloat16).requires_grad_()),
              "--shard-optimizer steps Float and Double, not BFloat16; leave it out");
    EXPECT_EQ(refused(at::zeros({4, 6}).narrow(1, 0, 3).requires_grad_()),
              "--shard-optimizer steps dense parameters, not strides [6, 1] of sizes "
              "[4, 3]; leave it out");
    EXPECT_EQ(refused(at::zeros({3}, at::kMeta).requires_grad_()),
              "--shard-optimizer steps emulated cards, not meta; leave it out");
  });
}

// Part of the parameters may have been stepped already, here or elsewhere.
TEST_P(ShardedRefusal, GoesNotOnAfterAStepThatThrew) {
  run_card_ranks(2, GetParam(), [&](comm::ProcessGroup& group) {
    const RandomNet net(3, at::kFloat);
    const auto reducer = make_sharded(net.parameters(), group);
    reducer->zero_grad();
    reducer->prepare(net.forward(net.batch(0, 0)));  // and no backward comes
    for (int again = 0; again < 2; ++again) {
      EXPECT_EQ(thrown_by([&] { reducer->zero_grad(); }),
                "a step that threw cannot be given up with --shard-optimizer, for part "
                "of it may be done; start again, or leave the option out");
    }
    for (const at::Tensor& parameter : net.parameters()) {
      EXPECT_TRUE(at::isfinite(parameter).all().item<bool>());
    }
  });
}

// The gradient of `stepped` is there, and is taken, before that of `early` was computed
// from its value.
TEST_P(ShardedRefusal, SaysWhereBackwardReadsAParameterThatWasStepped) {
  run_card_ranks(2, GetParam(), [&](comm::ProcessGroup& group) {
    const at::Tensor early = at::full({4}, 2.0).requires_grad_();
    const at::Tensor stepped = at::full({4}, 3.0).requires_grad_();
    const auto reducer = make_sharded({early, stepped}, group);
    reducer->zero_grad();
    const at::Tensor product = early * stepped.detach();
    const at::Tensor output = product + stepped * 5;
    reducer->prepare(output);
    const std::string said = thrown_by([&] { output.sum().backward(); });
    EXPECT_NE(said.find("modified by an inplace operation"), std::string::npos) << said;
  });
}

TEST(CheckReducer, RefusesToShardWhatOtherReducersStep) {
  const auto refused = [](const std::string& reducer, bool unused, bool static_graph) {
    TrainOptions options;
    options.ddp.shard_optimizer = true;
    options.ddp.reducer = reducer;
    options.ddp.find_unused_parameters = unused;
    options.ddp.static_graph = static_graph;
    return thrown_by([&] { check_reducer(options); });
  };
  const std::string start =
      "--shard-optimizer steps parameters as their buckets come together: not with ";
  const std::string end = "; leave one of them out";
  EXPECT_EQ(refused("bucketed", false, false), "nothing");
  for (const std::string reducer : {"naive", "flat", "c10d"}) {
    EXPECT_EQ(refused(reducer, false, false), start + "--reducer " + reducer + end);
  }
  EXPECT_EQ(refused("bucketed", true, false), start + "--find-unused-parameters" + end);
  EXPECT_EQ(refused("bucketed", false, true), start + "--static-graph" + end);
}

}  // namespace
}  // namespace lockstep::ddp
