#include "buckets/stragglers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "buckets/words.h"
#include "tests/run_times.h"

namespace lockstep::buckets {
namespace {

using Kind = Straggler::Kind;
using timing::RunTimes;

Verdict verdict_of(const RunTimes& run) { return find_stragglers(compare(run)); }

std::string said(const RunTimes& run) {
  const Comparison comparison = compare(run);
  std::string text;
  for (const auto& one :
       verdict_in_words(run, comparison, find_stragglers(comparison))) {
    text += one + "\n";
  }
  return text;
}

auto slow(int slow_rank, double factor, int64_t from, int64_t to,
          const std::string& in = "") {
  return [=](int64_t step, int rank, const char* phase) {
    const bool is =
        rank == slow_rank && step >= from && step < to && (in.empty() || in == phase);
    return is ? factor : 1.0;
  };
}

TEST(Stragglers, OneThatIsSlowInOneStepOfAHundredIsNamedWithTheStep) {
  for (const int ranks : {2, 4, 8, 64}) {
    for (uint32_t seed = 1; seed <= 10; ++seed) {
      const int who = static_cast<int>(seed) % ranks;
      const RunTimes run =
          made_up({.ranks = ranks, .seed = seed, .factor = slow(who, 1.3, 57, 58)});
      const Verdict verdict = verdict_of(run);
      ASSERT_EQ(verdict.stragglers.size(), 1U) << ranks << "," << seed << said(run);
      const Straggler& one = verdict.stragglers[0];
      EXPECT_EQ(one.rank, who);
      EXPECT_EQ(one.kind, Kind::single);
      EXPECT_EQ(one.steps, std::vector<int64_t>{57});
      EXPECT_NEAR(one.late_us, 3000, 1200);
      EXPECT_NEAR(one.cost_us, one.late_us, 1000);
    }
  }
}

TEST(Stragglers, OneThatIsSlowThroughoutIsNamedWithWhatItCosts) {
  for (const int ranks : {2, 4, 8, 64}) {
    for (const double factor : {1.1, 1.3}) {
      const int who = ranks / 2;
      const RunTimes run =
          made_up({.ranks = ranks, .hosts = 2, .factor = slow(who, factor, 0, 100)});
      const Verdict verdict = verdict_of(run);
      ASSERT_EQ(verdict.stragglers.size(), 1U) << ranks << said(run);
      const Straggler& one = verdict.stragglers[0];
      EXPECT_EQ(one.rank, who);
      EXPECT_EQ(one.kind, Kind::throughout);
      EXPECT_EQ(one.steps, std::vector<int64_t>{});
      EXPECT_NEAR(one.late_us, (factor - 1) * 10000, 200);
      EXPECT_EQ(one.phase, Phase::backward) << "the longest of those it is slow in";
      EXPECT_NE(said(run).find("Rank " + std::to_string(who) + " (host b) is late"),
                std::string::npos)
          << said(run);
    }
  }
}

TEST(Stragglers, EqualRanksNameNobody) {
  int named = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    for (const int ranks : {2, 8}) {
      named += verdict_of(made_up({.ranks = ranks, .seed = seed})).stragglers.empty()
                   ? 0
                   : 1;
    }
  }
  EXPECT_EQ(named, 0);
}

// Ranks of a busy machine: now and then one loses its core for a while.
TEST(Stragglers, ABusyMachineNamesNobody) {
  int named = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    for (const int ranks : {2, 8}) {
      const RunTimes run = made_up(
          {.ranks = ranks, .seed = seed, .noise = 0.05, .hiccup_us = [](auto& random) {
             const double chance = std::uniform_real_distribution<>()(random);
             return chance < 0.01 ? std::exponential_distribution<>(1 / 3000.0)(random)
                                  : 0;
           }});
      const Verdict verdict = verdict_of(run);
      named += verdict.stragglers.empty() ? 0 : 1;
      if (!verdict.stragglers.empty() && seed < 60)
        std::printf("%d %s", ranks, said(run).c_str());
    }
  }
  std::printf("busy %d\n", named);
}

}  // namespace
}  // namespace lockstep::buckets
