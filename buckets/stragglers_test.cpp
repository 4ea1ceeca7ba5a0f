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
    for (uint32_t seed = 1; seed <= (ranks == 64 ? 2 : 8); ++seed) {
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
    const int ranks = std::vector<int>{2, 4, 8}[seed % 3];
    named +=
        verdict_of(made_up({.ranks = ranks, .seed = seed})).stragglers.empty() ? 0 : 1;
  }
  named += verdict_of(made_up({.ranks = 64})).stragglers.empty() ? 0 : 1;
  EXPECT_EQ(named, 0);
}

// Ranks of a busy machine: now and then one loses its core for a while.
TEST(Stragglers, ABusyMachineNamesHardlyAnybody) {
  int named = 0;
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    for (const int ranks : {2, 8}) {
      const RunTimes run = made_up(
          {.ranks = ranks, .seed = seed, .noise = 0.05, .hiccup_us = [](auto& random) {
             const double chance = std::uniform_real_distribution<>()(random);
             return chance < 0.02 ? std::exponential_distribution<>(1 / 3000.0)(random)
                                  : 0;
           }});
      named += verdict_of(run).stragglers.empty() ? 0 : 1;
    }
  }
  EXPECT_LE(named, 20) << "of 200 runs: where two or three of them stand out";
}

TEST(Stragglers, SaysInWhichPhaseARankIsSlow) {
  for (const auto& [phase, name] :
       std::vector<std::pair<std::string, Phase>>{{"optimizer", Phase::between},
                                                  {"forward", Phase::forward},
                                                  {"backward", Phase::backward}}) {
    const Verdict verdict =
        verdict_of(made_up({.ranks = 4, .factor = slow(2, 3, 57, 58, phase)}));
    ASSERT_EQ(verdict.stragglers.size(), 1U) << phase;
    EXPECT_EQ(verdict.stragglers[0].phase, name);
    EXPECT_NEAR(verdict.stragglers[0].phase_us, verdict.stragglers[0].late_us, 1000);
  }
}

TEST(Stragglers, OneAlwaysSlowIsToldFromAnotherThatIsOnce) {
  const RunTimes run =
      made_up({.ranks = 4, .factor = [](int64_t step, int rank, const char*) {
                 return rank == 1 ? 1.2 : rank == 3 && step == 40 ? 2.0 : 1.0;
               }});
  const Verdict verdict = verdict_of(run);
  ASSERT_EQ(verdict.stragglers.size(), 2U) << said(run);
  EXPECT_EQ(verdict.stragglers[0].rank, 1) << "dearer over the run";
  EXPECT_EQ(verdict.stragglers[0].kind, Kind::throughout);
  EXPECT_EQ(verdict.stragglers[1].rank, 3);
  EXPECT_EQ(verdict.stragglers[1].steps, std::vector<int64_t>{40});
  // What the one is late by anyway, the other one's lateness does not cost.
  EXPECT_NEAR(verdict.stragglers[1].cost_us, 8000, 1000);
}

TEST(Stragglers, OneThatIsSlowForAWhileIsNamedWithTheSteps) {
  const RunTimes run = made_up({.ranks = 2, .factor = slow(1, 1.5, 40, 70)});
  const Verdict verdict = verdict_of(run);
  ASSERT_EQ(verdict.stragglers.size(), 1U) << said(run);
  EXPECT_EQ(verdict.stragglers[0].kind, Kind::often);
  EXPECT_EQ(ranges_of(verdict.stragglers[0].steps), "40-69");
}

// Each clock is off by as much as it says that it may be, one way or the other.
TEST(Stragglers, AClockThatIsOffNamesNobody) {
  const RunTimes equal = made_up({.ranks = 4, .uncertainty_us = 1500});
  EXPECT_TRUE(verdict_of(equal).stragglers.empty()) << said(equal);
  EXPECT_NE(said(equal).find("it may be a clock that is off"), std::string::npos)
      << said(equal);
  // In a single step it does not hide anybody.
  const RunTimes once =
      made_up({.ranks = 4, .uncertainty_us = 1500, .factor = slow(2, 1.6, 57, 58)});
  ASSERT_EQ(verdict_of(once).stragglers.size(), 1U) << said(once);
  EXPECT_EQ(verdict_of(once).stragglers[0].steps, std::vector<int64_t>{57});
  const RunTimes always =
      made_up({.ranks = 4, .uncertainty_us = 200, .factor = slow(2, 1.3, 0, 100)});
  ASSERT_EQ(verdict_of(always).stragglers.size(), 1U) << said(always);
  EXPECT_EQ(verdict_of(always).stragglers[0].rank, 2);
}

TEST(Stragglers, StepsThatLackARankOrABucketAreLeftOut) {
  RunTimes run = made_up({.ranks = 2, .factor = slow(1, 1.3, 0, 100)});
  run.steps[101].buckets.clear();              // rank 1 in step 50
  run.steps[120].buckets.resize(2);            // rank 0 in step 60
  run.steps.erase(run.steps.begin() + 140);    // rank 0 in step 70
  for (timing::StepTimes& line : run.steps) {  // rebuilt after the first step
    if (line.step == 0) line.buckets.resize(1);
  }
  const Comparison comparison = compare(run);
  EXPECT_EQ(comparison.incomplete, 2);
  EXPECT_EQ(comparison.steps.size(), 95U);
  const Verdict verdict = find_stragglers(comparison);
  ASSERT_EQ(verdict.stragglers.size(), 1U);
  EXPECT_EQ(verdict.stragglers[0].kind, Kind::throughout);
  EXPECT_NE(said(run).find("2 steps left out"), std::string::npos);
}

TEST(Stragglers, SaysWhatCannotBeKnown) {
  const RunTimes few = made_up({.steps = 32, .factor = slow(1, 2, 0, 100)});
  EXPECT_TRUE(verdict_of(few).stragglers.empty());
  EXPECT_NE(said(few).find("29 steps after the first 3 are too few"), std::string::npos)
      << said(few);
  EXPECT_FALSE(verdict_of(made_up({.steps = 33, .factor = slow(1, 2, 0, 100)}))
                   .stragglers.empty());
  EXPECT_EQ(said(made_up({.ranks = 1})), "One rank alone: nobody waits for it.\n");
}

// A late rank costs nothing where the collectives before hold up the others anyway.
TEST(Stragglers, CostIsWhatTheOthersWaited) {
  const auto late_in_step_57 = [](double collective_us) {
    const RunTimes run = made_up({.ranks = 2,
                                  .noise = 0.001,
                                  .collective_us = collective_us,
                                  .factor = slow(1, 1.5, 57, 58, "backward")});
    const Verdict verdict = verdict_of(run);
    EXPECT_EQ(verdict.stragglers.size(), 1U);
    return verdict.stragglers.at(0).cost_us;
  };
  EXPECT_NEAR(late_in_step_57(100), 3000, 50) << "the last bucket's lateness";
  EXPECT_NEAR(late_in_step_57(20000), 750, 50) << "the first bucket's";
}

TEST(Stragglers, RangesOfStepsAreShort) {
  EXPECT_EQ(ranges_of({3, 40, 41, 42, 99}), "3, 40-42, 99");
  EXPECT_EQ(ranges_of({}), "");
}

}  // namespace
}  // namespace lockstep::buckets
