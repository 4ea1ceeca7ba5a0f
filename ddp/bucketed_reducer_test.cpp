// What the bucketed reducer promises beyond the mean: where gradients lie, in which
// order buckets leave, what of an unused parameter, what after an error. That it equals
// c10d's: differential_test.cpp.
#include "ddp/bucketed_reducer.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/random_net.h"
#include "tests/thread_ranks.h"

namespace lockstep::ddp {
namespace {

using Sizes = std::vector<int64_t>;

// Two parameters of 3 and of 5 numbers, each a bucket.
struct Pair {
  at::Tensor three = at::full({3}, 2.0).requires_grad_();
  at::Tensor five = at::full({5}, 2.0).requires_grad_();
  NamedParameters parameters() const { return {{"three", three}, {"five", five}}; }
};

TrainOptions looking_for_unused() {
  TrainOptions options = caps(0, 0);
  options.ddp.find_unused_parameters = true;
  return options;
}

TrainOptions static_graph() {
  TrainOptions options = caps(0, 0);
  options.ddp.static_graph = true;
  return options;
}

// One step with that output, by the loop's calls.
void step(Reducer& reducer, const std::function<at::Tensor()>& forward) {
  reducer.zero_grad();
  const at::Tensor output = forward();
  reducer.prepare(output);
  output.sum().backward();
  reducer.finalize();
}

void expect_all(const at::Tensor& tensor, double value) {
  ASSERT_TRUE(tensor.defined());
  EXPECT_TRUE(at::equal(tensor, at::full_like(tensor, value))) << tensor;
}

// What `work` throws, one line.
std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(text.find(word), std::string::npos) << "no '" << word << "' in: " << text;
  }
}

TEST(Gradients, AreViewsOfTheBucketsAndStayThere) {
  run_thread_ranks(2, [&](const ThreadRank& at) {
    const RandomNet net(5, at::kDouble);
    const std::vector<at::Tensor> parameters = net.parameters();
    BucketedReducer reducer(named(parameters), at.group, caps(500, 3000));
    std::vector<const void*> places;
    for (int i = 0; i < 4; ++i) {
      reducer.zero_grad();
      for (const at::Tensor& parameter : parameters) {
        EXPECT_FALSE(parameter.grad().defined());
      }
      const at::Tensor output = net.forward(net.batch(i, at.rank));
      reducer.prepare(output);
      RandomNet::loss(output).backward();
      reducer.finalize();
      std::set<const void*> buckets;
      std::vector<const void*> now;
      for (const at::Tensor& parameter : parameters) {
        EXPECT_EQ(parameter.grad().strides(), parameter.strides());
        now.push_back(parameter.grad().const_data_ptr());
        buckets.insert(parameter.grad().storage().data());
      }
      EXPECT_EQ(buckets.size(), at.recording.take_all_reduced().size());
      if (i > 1) EXPECT_EQ(now, places);  // rebuilt before the second step
      places = now;
    }
  });
}

TEST(Gradients, LieOutsideWhereAskedTo) {
  run_over_each_backend(2, [&](const ThreadRank& at) {
    TrainOptions options = caps(0, 1 << 20);
    options.ddp.gradient_as_bucket_view = false;
    const Pair pair;
    BucketedReducer reducer(pair.parameters(), at.group, options);
    for (int i = 1; i < 4; ++i) {
      step(reducer, [&] { return (pair.three.sum() * pair.five) * (i + at.rank); });
      expect_all(pair.three.grad(), 10 * (i + 0.5));
      expect_all(pair.five.grad(), 6 * (i + 0.5));
      EXPECT_FALSE(pair.three.grad().is_alias_of(pair.five.grad()));
    }
  });
}

// Rank 0 comes to `three` last, rank 1 to `five`: after the first step both launch in
// rank 0's order.
TEST(Rebuild, TakesRank0sOrder) {
  std::array<std::vector<Sizes>, 2> launched;
  run_thread_ranks(2, [&](const ThreadRank& at) {
    const Pair pair;
    NamedParameters parameters = pair.parameters();
    std::reverse(parameters.begin(), parameters.end());
    BucketedReducer reducer(parameters, at.group, caps(0, 0));
    for (int i = 0; i < 3; ++i) {
      step(reducer, [&] {
        const bool three_first = at.rank == 0;
        at::Tensor output = three_first ? pair.three * 1 : pair.five * 1;
        output = three_first ? output.sum() * pair.five : output.sum() * pair.three;
        return output.sum();
      });
      expect_all(pair.three.grad(), 10);
      expect_all(pair.five.grad(), 6);
      launched[at.rank].push_back(at.recording.take_all_reduced());
    }
  });
  EXPECT_EQ(launched[0], (std::vector<Sizes>{{3, 5}, {5, 3}, {5, 3}}));
  EXPECT_EQ(launched[1], launched[0]);
}

// A loop that never zeroes: the gradients of the first step move to the new buckets.
TEST(Rebuild, KeepsGradientsThatAreAccumulated) {
  for (const bool as_view : {true, false}) {
    run_over_each_backend(2, [&](const ThreadRank& at) {
      TrainOptions options = caps(0, 0);
      options.ddp.gradient_as_bucket_view = as_view;
      const Pair pair;
      NamedParameters parameters = pair.parameters();
      std::reverse(parameters.begin(), parameters.end());
      BucketedReducer reducer(parameters, at.group, options);
      for (int i = 1; i < 4; ++i) {
        const at::Tensor output = ((pair.three * 1).sum() * pair.five) * (at.rank + 1);
        reducer.prepare(output);
        output.sum().backward();
        reducer.finalize();
        expect_all(pair.three.grad(), i * 15);
        expect_all(pair.five.grad(), i * 9);
        const Sizes wanted = i == 1 ? Sizes{3, 5} : Sizes{5, 3};
        EXPECT_EQ(at.recording.take_all_reduced(), wanted);
      }
    });
  }
}

TEST(NoSync, AccumulatesUntilItEnds) {
  run_over_each_backend(3, [&](const ThreadRank& at) {
    const Pair pair;
    BucketedReducer reducer(pair.parameters(), at.group, caps(0, 0));
    const auto forward = [&] { return (pair.three.sum() * pair.five) * at.rank; };
    for (int again = 0; again < 3; ++again) {
      {
        const auto local = reducer.no_sync();
        step(reducer, forward);
        step(reducer, forward);
        expect_all(pair.three.grad(), 2 * 10 * at.rank);
        EXPECT_EQ(at.recording.take_all_reduced(), Sizes{});
      }
      step(reducer, forward);
      EXPECT_EQ(at.recording.take_all_reduced().size(), 2U);
      expect_all(pair.three.grad(), 3 * 10);
      expect_all(pair.five.grad(), 3 * 6);
    }
  });
}

// Rank 1 leaves `five` out in the first step, everybody in the second, nobody in the
// third.
TEST(Unused, LocallyIsTheMeanAndGloballyIsUndefined) {
  for (const bool as_view : {true, false}) {
    run_over_each_backend(3, [&](const ThreadRank& at) {
      TrainOptions options = looking_for_unused();
      options.ddp.gradient_as_bucket_view = as_view;
      const Pair pair;
      BucketedReducer reducer(pair.parameters(), at.group, options);
      for (int i = 0; i < 3; ++i) {
        const bool uses = i == 2 || (i == 0 && at.rank != 1);
        step(reducer, [&] {
          return uses ? pair.three.sum() + 3 * pair.five.sum() : pair.three.sum();
        });
        expect_all(pair.three.grad(), 1);
        if (i == 1) EXPECT_FALSE(pair.five.grad().defined());
        if (i != 1) expect_all(pair.five.grad(), i == 0 ? 2 : 3);
      }
    });
  }
}

// One rank's output depends on nothing at all: no hook of its own ever fires.
TEST(Unused, ARankMayUseNothing) {
  run_over_each_backend(2, [&](const ThreadRank& at) {
    const Pair pair;
    BucketedReducer reducer(pair.parameters(), at.group, looking_for_unused());
    for (int i = 0; i < 2; ++i) {
      reducer.zero_grad();
      const at::Tensor output = at.rank == 0 ? pair.three.sum() : at::ones({});
      reducer.prepare(output);
      if (at.rank == 0) output.backward();
      reducer.finalize();
      expect_all(pair.three.grad(), 0.5);
      EXPECT_FALSE(pair.five.grad().defined());
    }
  });
}

TEST(Unused, IsAnErrorWhereNobodyLooks) {
  run_over_each_backend(3, [&](const ThreadRank& at) {
    const Pair pair;
    BucketedReducer reducer(pair.parameters(), at.group, caps(0, 0));
    const auto unused = [&] { return pair.three.sum(); };
    expect_words(
        error_of([&] { step(reducer, unused); }),
        {"rank " + std::to_string(at.rank) +
             ": Expected to have finished "
             "reduction in the prior iteration before starting a new one",
         "no gradient for five (1 of 2 parameters)", "--find-unused-parameters"});
    step(reducer, [&] { return pair.three.sum() + pair.five.sum(); });
    expect_all(pair.five.grad(), 1);
  });
}

// Two backward passes a step, as reentrant ones make them.
TEST(StaticGraph, LearnsHowOftenAGradientComes) {
  run_over_each_backend(2, [&](const ThreadRank& at) {
    const Pair pair;
    const at::Tensor unused = at::ones({2}).requires_grad_();
    NamedParameters parameters = pair.parameters();
    parameters.push_back({"unused", unused});
    BucketedReducer reducer(parameters, at.group, static_graph());
    for (int i = 0; i < 4; ++i) {
      reducer.zero_grad();
      const at::Tensor output = pair.three.sum() * pair.five;
      reducer.prepare(output);
      output.sum().backward();
      (pair.three.sum() * at.rank).backward();
      reducer.finalize();
      expect_all(pair.three.grad(), 10.5);
      expect_all(pair.five.grad(), 6);
      EXPECT_FALSE(unused.grad().defined());
      const size_t messages = at.recording.take_all_reduced().size();
      EXPECT_EQ(messages, i == 0 ? 4U : 3U);  // who is used is asked once
    }
  });
}

TEST(StaticGraph, MustNotChange) {
  run_over_each_backend(2, [&](const ThreadRank& at) {
    const Pair pair;
    BucketedReducer reducer(pair.parameters(), at.group, static_graph());
    const auto both = [&] { return pair.three.sum() + pair.five.sum(); };
    step(reducer, both);
    expect_words(error_of([&] { step(reducer, [&] { return pair.three.sum(); }); }),
                 {"Expected to have finished reduction", "five", "--static-graph"});
    step(reducer, both);
    expect_all(pair.five.grad(), 1);
  });
}

TEST(MarkedReady, OnlyOnce) {
  run_over_each_backend(2, [&](const ThreadRank& at) {
    const Pair pair;
    BucketedReducer reducer(pair.parameters(), at.group, caps(0, 0));
    const std::string error = error_of([&] {
      reducer.zero_grad();
      const at::Tensor output = pair.three.sum() + pair.five.sum();
      reducer.prepare(output);
      output.backward();
      pair.five.sum().backward();
    });
    expect_words(error, {"rank " + std::to_string(at.rank) +
                             ": Expected to mark a variable ready only once",
                         "five", "--static-graph"});
    step(reducer, [&] { return pair.three.sum() + pair.five.sum(); });
    expect_all(pair.five.grad(), 1);
  });
}

}  // namespace
}  // namespace lockstep::ddp
