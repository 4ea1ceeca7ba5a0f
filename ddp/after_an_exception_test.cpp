// A backward pass that throws, on every rank but not at the same point: see Note [After
// an exception].
#include <gtest/gtest.h>

#include <cmath>

#include "ddp/bucketed_reducer.h"
#include "tests/random_net.h"
#include "tests/seeing_hook.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

class AfterAnException : public testing::TestWithParam<std::string> {
 protected:
  static TrainOptions options() {
    TrainOptions options = caps(0, 0);
    options.ddp.find_unused_parameters = GetParam() == "find_unused";
    options.ddp.static_graph = GetParam() == "static_graph";
    options.ddp.gradient_as_bucket_view = GetParam() != "copies";
    return options;
  }
};

void run_step(Reducer& reducer, const RandomNet& net, int i, int rank) {
  run_pass(reducer, [&] { return net.forward(net.batch(i, rank)); });
}

// Throws while the gradient of that parameter is on its way.
void fail_at(size_t parameter, Reducer& reducer, const RandomNet& net, int i,
             int rank) {
  const at::Tensor tensor = net.parameters()[parameter];
  const unsigned hook = tensor.register_hook(
      [](const at::Tensor&) { throw std::runtime_error("thrown by a hook"); });
  EXPECT_THROW(run_step(reducer, net, i, rank), std::runtime_error);
  tensor.remove_hook(hook);
}

TEST_P(AfterAnException, TheNextStepIsRight) {
  run_over_each_backend(3, [&](const ThreadRank& at) {
    RandomNet net(31, at::kDouble);
    RandomNet oracle(31, at::kDouble);
    const std::vector<at::Tensor> parameters = net.parameters();
    BucketedReducer reducer(named(parameters), at.group, options());
    if (GetParam() == "staged_hook") {
      reducer.register_comm_hook(std::make_unique<hooks::StagedHook>());
    }
    for (int i = 0; i < 5; ++i) {
      // Rank 0 has sent nothing by then, rank 2 all but one bucket.
      if (i != 1) {
        const size_t where = at.rank == 0 ? 5 : at.rank == 1 ? 2 : 0;
        fail_at(where, reducer, net, i, at.rank);
      }
      run_step(reducer, net, i, at.rank);
      const auto wanted = oracle.gradients(i, at.size);
      for (size_t p = 0; p < parameters.size(); ++p) {
        const at::Tensor grad = parameters[p].grad();
        EXPECT_LE((grad - wanted.mean[p]).norm().item<double>(),
                  1e-12 * wanted.norms[p])
            << "step " << i << ", parameter " << p;
      }
      net.descend(wanted.mean);
      oracle.descend(wanted.mean);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ways, AfterAnException,
                         testing::Values("views", "copies", "find_unused",
                                         "static_graph", "staged_hook"),
                         [](const auto& info) { return info.param; });

// Nobody mistakes what a rank had not computed for a gradient.
TEST(OneRanksException, IsNaNForTheOthers) {
  run_over_each_backend(2, [&](const ThreadRank& at) {
    const RandomNet net(32, at::kDouble);
    BucketedReducer reducer(named(net.parameters()), at.group, caps(0, 1 << 20));
    if (at.rank == 1) {
      fail_at(0, reducer, net, 0, at.rank);
      reducer.zero_grad();
      return;
    }
    run_step(reducer, net, 0, at.rank);
    EXPECT_TRUE(std::isnan(net.parameters()[0].grad().sum().item<double>()));
  });
}

// The gradients of the passes before it are lost with it, and the count goes on, as the
// optimizer's does.
TEST(AnExceptionWhileAccumulating, LosesWhatWasAccumulated) {
  run_over_each_backend(2, [&](const ThreadRank& at) {
    const RandomNet net(33, at::kDouble);
    TrainOptions options = caps(0, 0);
    options.accumulate = 2;
    BucketedReducer reducer(named(net.parameters()), at.group, options);
    run_step(reducer, net, 0, at.rank);
    fail_at(2, reducer, net, 1, at.rank);
    run_step(reducer, net, 1, at.rank);
    const auto wanted = net.gradients(1, at.size);
    for (size_t p = 0; p < wanted.mean.size(); ++p) {
      const at::Tensor grad = net.parameters()[p].grad();
      EXPECT_LE((grad - wanted.mean[p]).norm().item<double>(), 1e-12 * wanted.norms[p]);
    }
  });
}

}  // namespace
}  // namespace lockstep::ddp
