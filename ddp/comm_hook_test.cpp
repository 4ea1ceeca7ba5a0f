// What a communication hook of the bucketed reducer is shown, and when: gradients, not
// parameters, whatever the buckets and the graph. That the next step after an exception
// is right under one: after_an_exception_test.cpp.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ddp/bucketed_reducer.h"
#include "tests/error_of.h"
#include "tests/random_net.h"
#include "tests/seeing_hook.h"
#include "tests/thread_ranks.h"
#include "tests/varied_net.h"

namespace lockstep::ddp {
namespace {

using hooks::GradBucket;

struct Seen {
  std::vector<size_t> indices;
  std::vector<bool> last;
  std::vector<at::Tensor> gradients;   // of all buckets, as they came
  std::vector<at::Tensor> parameters;  // the same order
};

// Keeps a copy, and checks what holds for each bucket alone.
std::unique_ptr<hooks::CommHook> hook_into(Seen& seen) {
  return std::make_unique<hooks::SeeingHook>([&seen](const GradBucket& bucket) {
    seen.indices.push_back(bucket.index());
    seen.last.push_back(bucket.is_last());
    ASSERT_EQ(bucket.gradients().size(), bucket.parameters().size());
    int64_t elements = 0;
    for (size_t i = 0; i < bucket.gradients().size(); ++i) {
      const at::Tensor& gradient = bucket.gradients()[i];
      EXPECT_EQ(gradient.sizes(), bucket.parameters()[i].sizes());
      EXPECT_TRUE(gradient.is_alias_of(bucket.buffer()));
      EXPECT_EQ(gradient.storage_offset(), bucket.buffer().storage_offset() + elements);
      elements += gradient.numel();
      seen.gradients.push_back(gradient.clone());
      seen.parameters.push_back(bucket.parameters()[i]);
    }
    EXPECT_EQ(bucket.buffer().sizes(), at::IntArrayRef{elements});
  });
}

// Every parameter once, with `own` gradients (undefined: zeros); buckets numbered, the
// last one said to be the last.
void expect_seen(const Seen& seen, const std::vector<at::Tensor>& parameters,
                 const std::vector<at::Tensor>& own, const std::string& where) {
  ASSERT_EQ(seen.gradients.size(), parameters.size()) << where;
  for (size_t b = 0; b < seen.indices.size(); ++b) {
    EXPECT_EQ(seen.indices[b], b) << where;
    EXPECT_EQ(seen.last[b], b + 1 == seen.indices.size()) << where;
  }
  for (size_t p = 0; p < parameters.size(); ++p) {
    size_t times = 0;
    for (size_t i = 0; i < seen.parameters.size(); ++i) {
      if (!seen.parameters[i].is_same(parameters[p])) continue;
      ++times;
      const at::Tensor wanted =
          own[p].defined() ? own[p] : at::zeros_like(parameters[p]);
      const double bar = parameters[p].scalar_type() == at::kDouble ? 1e-12 : 1e-5;
      EXPECT_LE((seen.gradients[i] - wanted).norm().item<double>(),
                bar * (1e-3 + wanted.norm().item<double>()))
          << where << ", parameter " << p;
    }
    EXPECT_EQ(times, 1U) << where << ", parameter " << p;
  }
}

// Nets drawn from seeds, with what buckets must cope with (varied_net.h). The result is
// that of a reducer without a hook.
void compare(uint64_t seed, const ThreadRank& at) {
  const Variation variation(seed);
  VariedNet net(variation), plain_net(variation);
  TrainOptions options = caps(variation.first_cap, variation.cap);
  options.accumulate = variation.passes;
  options.ddp.find_unused_parameters = variation.find_unused;
  options.ddp.static_graph = variation.static_graph;
  options.ddp.gradient_as_bucket_view = variation.as_view;
  options.ddp.overlap = seed % 3 != 0;
  const std::vector<at::Tensor>& parameters = net.parameters();
  BucketedReducer reducer(named(parameters), at.group, options);
  BucketedReducer plain(named(plain_net.parameters()), at.group, options);
  Seen seen;
  reducer.register_comm_hook(hook_into(seen));
  std::vector<at::Tensor> own(parameters.size());
  for (int64_t pass = 0; pass < 4 * variation.passes; ++pass) {
    const std::string where = variation.text() + ", rank " + std::to_string(at.rank) +
                              ", pass " + std::to_string(pass);
    seen = {};
    const auto forward = [&] { return net.forward(pass, at.rank); };
    const auto added =
        torch::autograd::grad({RandomNet::loss(forward())}, parameters, {}, {}, false,
                              /*allow_unused=*/true);
    const bool first = pass % variation.passes == 0;
    for (size_t p = 0; p < own.size(); ++p) {
      if (first) {
        own[p] = added[p];
      } else if (added[p].defined()) {
        own[p] = own[p].defined() ? own[p] + added[p] : added[p];
      }
    }
    run_pass(reducer, forward);
    run_pass(plain, [&] { return plain_net.forward(pass, at.rank); });
    if ((pass + 1) % variation.passes != 0) {
      EXPECT_TRUE(seen.indices.empty()) << where;
      continue;
    }
    expect_seen(seen, parameters, own, where);
    for (size_t p = 0; p < parameters.size(); ++p) {
      const at::Tensor grad = parameters[p].grad();
      const at::Tensor wanted = plain_net.parameters()[p].grad();
      ASSERT_EQ(grad.defined(), wanted.defined()) << where;
      if (!grad.defined()) continue;
      const double bar = grad.scalar_type() == at::kDouble ? 1e-12 : 1e-5;
      EXPECT_LE((grad - wanted).norm().item<double>(),
                bar * (1e-3 + wanted.norm().item<double>()))
          << where << ", parameter " << p;
    }
  }
}

TEST(Hook, SeesThisRanksGradientsOfEachBucketInTurn) {
  for (const int size : {2, 3}) {
    run_over_each_backend(size, [&](const ThreadRank& at) {
      const uint64_t first = at.size == 2 ? 300 : 330;
      for (uint64_t seed = first; seed < first + 14; ++seed) compare(seed, at);
    });
  }
}

// See Note [Later stages start in rounds]: rank 1's gradients come in another order,
// and ranks hesitate.
TEST(Stages, StartInTheSameOrderOnAllRanks) {
  constexpr int kRanks = 3;
  const uint64_t seed = 3;
  std::array<std::vector<int64_t>, kRanks> launched;
  const auto wanted = RandomNet(seed, at::kDouble).gradients(0, kRanks);
  run_thread_ranks(kRanks, [&](const ThreadRank& at) {
    const RandomNet net(seed, at::kDouble);
    BucketedReducer reducer(named(net.parameters()), at.group, caps(0, 0));
    reducer.register_comm_hook(std::make_unique<hooks::StagedHook>());
    at.recording.hesitate(std::chrono::microseconds(1500));
    for (int again = 0; again < 3; ++again) {
      run_pass(reducer, [&] {
        return net.forward(net.batch(0, at.rank), /*turned=*/at.rank % 2 == 1);
      });
      for (size_t p = 0; p < wanted.mean.size(); ++p) {
        const at::Tensor grad = net.parameters()[p].grad();
        EXPECT_LE((grad - wanted.mean[p]).norm().item<double>(),
                  1e-12 * wanted.norms[p])
            << "parameter " << p;
      }
    }
    launched[at.rank] = at.recording.take_all_reduced();
  });
  // Six buckets of 1, 2, 3, 1, 2 and 3 stages.
  EXPECT_EQ(launched[0].size(), 3U * 12U);
  EXPECT_EQ(launched[0], launched[1]);
  EXPECT_EQ(launched[0], launched[2]);
}

TEST(Register, IsForOnceAndBeforeTheFirstBackwardPass) {
  run_thread_ranks(1, [](const ThreadRank& at) {
    const RandomNet net(3, at::kDouble);
    const auto none = [](const GradBucket&) {};
    const auto give = [&](BucketedReducer& reducer) {
      reducer.register_comm_hook(std::make_unique<hooks::SeeingHook>(none));
    };
    BucketedReducer twice(named(net.parameters()), at.group, caps(0, 0));
    give(twice);
    EXPECT_NE(error_of([&] { give(twice); }).find("can only be called once"),
              std::string::npos);
    BucketedReducer late(named(net.parameters()), at.group, caps(0, 0));
    run_pass(late, [&] { return net.forward(net.batch(0, 0)); });
    EXPECT_NE(error_of([&] { give(late); }).find("before the first backward pass"),
              std::string::npos);
  });
}

TEST(CheckReducer, RefusesHooksThatNobodyWouldCall) {
  const auto refused = [](const std::function<void(training::DdpOptions&)>& set) {
    TrainOptions options;
    options.ddp.comm_hook = "fp16";
    set(options.ddp);
    return error_of([&] { check_reducer(options); });
  };
  for (const std::string name : {"naive", "flat", "c10d"}) {
    EXPECT_EQ(refused([&](auto& ddp) { ddp.reducer = name; }),
              "--comm-hook fp16: not with --reducer " + name +
                  ", which calls no hook; leave it out, or try --reducer bucketed");
  }
  EXPECT_NE(
      refused([](auto& ddp) { ddp.shard_optimizer = true; }).find("not with --sh"),
      std::string::npos);
  EXPECT_NE(refused([](auto& ddp) { ddp.comm_hook = "fp61"; }).find("mean 'fp16'"),
            std::string::npos);
}

}  // namespace
}  // namespace lockstep::ddp
