// Every reducer against the oracle: the gradients of all ranks' batches computed on one
// thread and averaged. Random small nets of odd sizes (random_net.h), ranks as threads
// that come early and late, several steps.
#include <gtest/gtest.h>

#include "ddp/bucket.h"
#include "ddp/reducers.h"
#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

constexpr int kSteps = 4;

ReducerPtr make(const std::string& name, const std::vector<at::Tensor>& parameters,
                comm::ProcessGroup& group, const TrainOptions& options = {}) {
  return reducers().at(name)(named(parameters), group, options);
}

void expect_close(const at::Tensor& actual, const RandomNet::Gradients& wanted,
                  size_t p, const std::string& what) {
  const double bar = actual.scalar_type() == at::kDouble ? 1e-12 : 1e-5;
  const double error = (actual - wanted.mean[p]).norm().item<double>();
  EXPECT_LE(error, bar * wanted.norms[p]) << what << ", parameter " << p;
}

// Forward, backward and reduction of one step on one rank, in the loop's order.
void step(Reducer& reducer, const RandomNet& net, int step, const ThreadRank& at) {
  run_pass(reducer, [&] {
    return net.forward(net.batch(step, at.rank), /*turned=*/at.rank % 2 == 1);
  });
}

class EachReducer : public testing::TestWithParam<std::string> {};

TEST_P(EachReducer, LeavesTheMeanOfAllRanksGradients) {
  std::minstd_rand random(7);
  for (const int size : {1, 2, 3, 4, 7}) {
    const uint64_t seed = random();
    const at::ScalarType type = size % 2 == 0 ? at::kDouble : at::kFloat;
    const int64_t cap_bytes =
        std::array<int64_t, 4>{0, 100, 3000, 1 << 20}[random() % 4];
    const auto options = caps(static_cast<int64_t>(random() % 500), cap_bytes);
    SCOPED_TRACE(std::to_string(size) + " ranks, seed " + std::to_string(seed) +
                 ", cap " + std::to_string(cap_bytes));

    std::vector<RandomNet::Gradients> wanted;
    RandomNet oracle(seed, type);
    for (int i = 0; i < kSteps; ++i) {
      wanted.push_back(oracle.gradients(i, size));
      oracle.descend(wanted.back().mean);
    }

    run_thread_ranks(size, [&](const ThreadRank& at) {
      RandomNet net(seed, type);
      const std::vector<at::Tensor> parameters = net.parameters();
      const auto reducer = make(GetParam(), parameters, at.group, options);
      at.recording.hesitate(std::chrono::microseconds(2000));
      std::minstd_rand pauses(static_cast<unsigned>(at.rank));
      for (int i = 0; i < kSteps; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(pauses() % 3000));
        step(*reducer, net, i, at);
        std::vector<at::Tensor> gradients;
        for (size_t p = 0; p < parameters.size(); ++p) {
          gradients.push_back(parameters[p].grad());
          expect_close(
              gradients[p], wanted[i], p,
              "step " + std::to_string(i) + " on rank " + std::to_string(at.rank));
        }
        net.descend(gradients);
      }
      EXPECT_FALSE(net.frozen().grad().defined());
      EXPECT_TRUE(at::equal(net.frozen(), oracle.frozen()));
    });
  }
}

TEST_P(EachReducer, TakesAGradientThatSomebodyReplacedOrForgot) {
  const uint64_t seed = 11;
  const auto wanted = RandomNet(seed, at::kDouble).gradients(0, 2);
  run_thread_ranks(2, [&](const ThreadRank& at) {
    const RandomNet net(seed, at::kDouble);
    const std::vector<at::Tensor> parameters = net.parameters();
    const auto reducer = make(GetParam(), parameters, at.group, caps(0, 500));
    for (int again = 0; again < 2; ++again) {
      reducer->zero_grad();
      const at::Tensor output = net.forward(net.batch(0, at.rank));
      reducer->prepare(output);
      parameters[1].mutable_grad().reset();
      parameters[2].mutable_grad() = at::zeros_like(parameters[2]);
      RandomNet::loss(output).backward();
      reducer->finalize();
      for (size_t p = 0; p < parameters.size(); ++p) {
        expect_close(parameters[p].grad(), wanted, p, "pass " + std::to_string(again));
      }
    }
  });
}

// Three passes a reduction, three reductions: between the first two of them buckets are
// rebuilt. Sums over passes, means over ranks.
TEST_P(EachReducer, AccumulatesWithoutACollective) {
  constexpr int kPasses = 3;
  for (const bool as_view : {true, false}) {
    TrainOptions options = caps(200, 1000);
    options.accumulate = kPasses;
    options.ddp.gradient_as_bucket_view = as_view;
    run_thread_ranks(2, [&](const ThreadRank& at) {
      RandomNet net(21, at::kDouble);
      RandomNet oracle(21, at::kDouble);
      const std::vector<at::Tensor> parameters = net.parameters();
      const auto reducer = make(GetParam(), parameters, at.group, options);
      for (int reduction = 0; reduction < 3; ++reduction) {
        RandomNet::Gradients wanted = oracle.gradients(kPasses * reduction, at.size);
        for (int pass = 0; pass < kPasses; ++pass) {
          const int i = kPasses * reduction + pass;
          step(*reducer, net, i, at);
          const size_t collectives = at.recording.take_all_reduced().size();
          if (pass + 1 < kPasses) EXPECT_EQ(collectives, 0U) << "in pass " << i;
          if (pass + 1 == kPasses) EXPECT_GT(collectives, 0U) << "in pass " << i;
          if (pass == 0) continue;
          const auto more = oracle.gradients(i, at.size);
          for (size_t p = 0; p < parameters.size(); ++p) {
            wanted.mean[p] += more.mean[p];
            wanted.norms[p] += more.norms[p];
          }
        }
        std::vector<at::Tensor> gradients;
        for (size_t p = 0; p < parameters.size(); ++p) {
          gradients.push_back(parameters[p].grad());
          expect_close(gradients[p], wanted, p,
                       "reduction " + std::to_string(reduction));
        }
        net.descend(gradients);
        oracle.descend(wanted.mean);
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Reducers, EachReducer,
                         testing::Values("naive", "flat", "bucketed", "c10d"),
                         [](const auto& info) { return info.param; });

// The messages of the first step, as elements each.
std::vector<int64_t> messages(const std::string& name, int64_t first_bytes,
                              int64_t bytes) {
  std::vector<int64_t> sent;
  run_thread_ranks(2, [&](const ThreadRank& at) {
    const RandomNet net(3, at::kDouble);
    const auto reducer =
        make(name, net.parameters(), at.group, caps(first_bytes, bytes));
    step(*reducer, net, 0, at);
    if (at.rank == 0) sent = at.recording.take_all_reduced();
  });
  return sent;
}

std::vector<int64_t> elements(const std::vector<std::vector<size_t>>& buckets) {
  const RandomNet net(3, at::kDouble);
  std::vector<int64_t> sizes;
  for (const auto& members : buckets) {
    sizes.push_back(0);
    for (const size_t index : members) sizes.back() += net.parameters()[index].numel();
  }
  return sizes;
}

TEST(Messages, AreOneAParameterOneOrOneABucket) {
  const RandomNet net(3, at::kDouble);
  int64_t all = 0;
  std::vector<int64_t> each;
  for (const at::Tensor& parameter : net.parameters()) {
    each.push_back(parameter.numel());
    all += parameter.numel();
  }
  EXPECT_EQ(messages("naive", 0, 0), each);
  EXPECT_EQ(messages("flat", 0, 0), std::vector<int64_t>{all});
  EXPECT_EQ(messages("bucketed", 1 << 20, 1 << 20), std::vector<int64_t>{all});
  const auto buckets = assign_buckets(net.parameters(), 500, 3000);
  ASSERT_GT(buckets.size(), 1U);
  ASSERT_LT(buckets.size(), each.size());
  EXPECT_EQ(messages("bucketed", 500, 3000), elements(buckets));
}

// Rank 1's gradients are ready in another order than rank 0's, and still both launch
// alike: see Note [Buckets launch in index order].
TEST(Messages, LeaveInIndexOrderOnEveryRank) {
  const RandomNet net(3, at::kDouble);
  const auto in_index_order = elements(assign_buckets(net.parameters(), 0, 0));
  std::array<std::vector<int64_t>, 2> ready;
  std::array<std::vector<int64_t>, 2> launched;
  run_thread_ranks(2, [&](const ThreadRank& at) {
    const RandomNet mine(3, at::kDouble);
    const auto reducer = make("bucketed", mine.parameters(), at.group, caps(0, 0));
    for (const at::Tensor& parameter : mine.parameters()) {
      parameter.register_hook(
          [&ready, at, elements = parameter.numel()](const at::Tensor&) {
            ready[at.rank].push_back(elements);
          });
    }
    step(*reducer, mine, 0, at);
    launched[at.rank] = at.recording.take_all_reduced();
  });
  EXPECT_NE(ready[0], ready[1]) << "the test needs ranks that differ";
  EXPECT_EQ(launched[0], in_index_order);
  EXPECT_EQ(launched[1], in_index_order);
}

// With `unused` unused: the two reducers that wait for the end of backward send zeros.
TEST(UnusedParameter, IsZeroForThoseThatWaitForTheEnd) {
  for (const std::string name : {"naive", "flat"}) {
    run_thread_ranks(3, [&](const ThreadRank& at) {
      const at::Tensor used = at::full({3}, 2.0).requires_grad_();
      const at::Tensor unused = at::full({5}, 2.0).requires_grad_();
      const auto reducer = make(name, {used, unused}, at.group, caps(0, 0));
      reducer->zero_grad();
      const at::Tensor output = used * (at.rank + 1);
      reducer->prepare(output);
      output.sum().backward();
      reducer->finalize();
      EXPECT_TRUE(at::equal(used.grad(), at::full({3}, 2.0))) << name;
      EXPECT_TRUE(at::equal(unused.grad(), at::zeros({5}))) << name;
    });
  }
}

TEST(CheckReducer, RefusesWhatAReducerDoesNotDo) {
  TrainOptions options;
  options.ddp.static_graph = true;
  check_reducer(options);
  options.ddp.reducer = "flat";
  try {
    check_reducer(options);
    ADD_FAILURE() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(std::string(error.what()),
              "--static-graph: not with --reducer flat, which waits for the end of "
              "backward; leave it out, or try --reducer bucketed");
  }
}

// Parameters of two types: a bucket each, and the naive reducer as the oracle.
TEST(TwoTypes, GetBucketsOfTheirOwn) {
  for (const std::string name : {"naive", "bucketed"}) {
    run_thread_ranks(2, [&](const ThreadRank& at) {
      const at::Tensor narrow = at::full({7}, 1.5).requires_grad_();
      const at::Tensor wide = at::full({9}, 0.5, at::kDouble).requires_grad_();
      const auto reducer = make(name, {narrow, wide}, at.group);
      for (int i = 1; i < 3; ++i) {
        reducer->zero_grad();
        const at::Tensor output = (narrow.sum() * wide.sum()) * (i * (at.rank + 1));
        reducer->prepare(output);
        output.backward();
        reducer->finalize();
        EXPECT_EQ(at.recording.take_all_reduced().size(), 2U) << name;
        EXPECT_TRUE(at::equal(narrow.grad(), at::full({7}, i * 1.5 * 4.5))) << name;
        EXPECT_TRUE(at::equal(wide.grad(), at::full({9}, i * 1.5 * 10.5, at::kDouble)))
            << name;
      }
    });
  }
}

}  // namespace
}  // namespace lockstep::ddp
