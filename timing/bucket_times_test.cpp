#include "timing/bucket_times.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <random>
#include <stdexcept>

#include "tests/error_of.h"

namespace lockstep::timing {
namespace {

RunTimes two_ranks() {
  RunTimes times;
  times.run = {{"model", "mlp \"wide\"\n</script>"}, {"reducer", "bucketed"}};
  times.strs = {{"backend_name", "gloo"}};
  times.ints = {{"world_size", 2}, {"least", std::numeric_limits<int64_t>::min()}};
  times.world_size = 2;
  times.hosts = {"a", "b"};
  times.clocks = {{0, 0}, {-0.1, 12.5}};
  for (int64_t step = 3; step < 6; ++step) {
    for (int rank = 0; rank < 2; ++rank) {
      const double begin = 1000.0 * static_cast<double>(step) + 0.1 + rank;
      StepTimes one{step, rank, begin, begin + 1, begin + 2, begin + 3, {}};
      // As many as there are: rebuilt after the first step, and none at the end.
      for (int64_t bucket = 5 - step; bucket > 0; --bucket) {
        one.buckets.push_back(
            {bucket << 40, begin + 1 / 3.0, begin + 0.5, begin + 3e-7 + 1});
      }
      times.steps.push_back(one);
    }
  }
  return times;
}

std::string refusal(const std::string& text) {
  return error_of([&] { times_from_json_lines(text); });
}

// Two lines, of which the second is `key` and `value` short of a right one.
std::string with(const std::string& key, const std::string& value) {
  RunTimes times = two_ranks();
  times.steps.resize(1);
  times.steps[0].buckets.resize(1);
  std::string text = to_json_lines(times);
  const size_t second = text.find('\n');
  const size_t begin = text.find("\"" + key + "\":", second) + key.size() + 3;
  const size_t end = text.find_first_of(text[begin] == '[' ? "]" : ",}", begin);
  return text.replace(begin, end - begin + (text[begin] == '[' ? 1 : 0), value);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(BucketTimes, ComeBackToTheBitAsTheyWereWritten) {
  const RunTimes times = two_ranks();
  const std::string text = to_json_lines(times);
  const RunTimes back = times_from_json_lines(text);
  EXPECT_EQ(to_json_lines(back), text);
  EXPECT_EQ(back.run, times.run);
  EXPECT_EQ(back.strs, times.strs);
  EXPECT_EQ(back.ints, times.ints);
  EXPECT_EQ(back.world_size, 2);
  EXPECT_EQ(back.hosts, times.hosts);
  ASSERT_EQ(back.clocks.size(), 2U);
  EXPECT_EQ(back.clocks[1].offset_us, -0.1);
  EXPECT_EQ(back.clocks[1].uncertainty_us, 12.5);
  ASSERT_EQ(back.steps.size(), times.steps.size());
  for (size_t i = 0; i < back.steps.size(); ++i) {
    const StepTimes &one = back.steps[i], &other = times.steps[i];
    EXPECT_EQ(one.step, other.step);
    EXPECT_EQ(one.rank, other.rank);
    EXPECT_EQ(one.begin_us, other.begin_us);
    EXPECT_EQ(one.backward_us, other.backward_us);
    EXPECT_EQ(one.backward_end_us, other.backward_end_us);
    EXPECT_EQ(one.reduced_us, other.reduced_us);
    ASSERT_EQ(one.buckets.size(), other.buckets.size());
    for (size_t b = 0; b < one.buckets.size(); ++b) {
      EXPECT_EQ(one.buckets[b].bytes, other.buckets[b].bytes);
      EXPECT_EQ(one.buckets[b].ready_us, other.buckets[b].ready_us);
      EXPECT_EQ(one.buckets[b].launch_us, other.buckets[b].launch_us);
      EXPECT_EQ(one.buckets[b].finish_us, other.buckets[b].finish_us);
    }
  }
}

TEST(BucketTimes, ARunWithoutStepsIsOne) {
  RunTimes times = two_ranks();
  times.steps.clear();
  EXPECT_TRUE(times_from_json_lines(to_json_lines(times)).steps.empty());
}

TEST(BucketTimes, WhatIsNoSuchRunIsRefusedByItsLine) {
  const std::vector<std::vector<std::string>> wrong = {
      {"", "line 1: the file is empty"},
      {"7\n", "line 1: should be an object, not 7"},
      {"{}", "line 1: there is no \"schema\""},
      {"{\"schema\": 2}", "line 1: schema 2 is unknown"},
      {"{\"schema\": 1}", "line 1: there is no \"world_size\""},
      {with("schema", "\"1\""), "line 2: schema \"1\" is unknown"},
      {with("step", "-1"), "line 2: \"step\" should be a whole number from 0"},
      {with("step", "18446744073709551615"), "line 2: \"step\" should be a whole"},
      {with("rank", "2"), "line 2: rank 2 is none of 2"},
      {with("rank", "0.5"), "line 2: \"rank\" should be a whole number"},
      {with("begin_us", "null"), "line 2: \"begin_us\" should be a number, not null"},
      {with("begin_us", "1e999"), "line 2: a number in it is larger"},
      {with("backward_us", "2"), "line 2: \"backward_us\" is 2.0, before \"begin_us\""},
      {with("reduced_us", "-1"), "before \"backward_end_us\""},
      {with("bytes", "[-1]"), "line 2: \"bytes\" should be a whole number"},
      {with("bytes", "[1,2]"), "line 2: the lists of the buckets are not of one"},
      {with("ready_us", "{}"), "line 2: \"ready_us\" should be a list, not {}"},
      {with("ready_us", "[1e9]"), "line 2: bucket 0: \"launch_us\" is"},
      {with("finish_us", "[[]]"), "line 2: \"finish_us\" should be a number, not []"},
  };
  for (const auto& pair : wrong) {
    const std::string said = refusal(pair[0]);
    EXPECT_TRUE(contains(said, pair[1])) << said << "\nof " << pair[0];
    EXPECT_FALSE(contains(said, "\n")) << said;
  }
  const std::string text = to_json_lines(two_ranks());
  const std::string first = text.substr(0, text.find('\n') + 1);
  const std::string second =
      text.substr(first.size(), text.find('\n', first.size()) - first.size() + 1);
  EXPECT_TRUE(contains(refusal(first + second + second), "line 3: step 3 of rank 0"));
  EXPECT_TRUE(contains(refusal(first + "\n" + second), "line 2: not valid JSON"));
}

TEST(BucketTimes, WhatIsNoSuchRunIsNotWritten) {
  const auto refused = [](const std::function<void(RunTimes&)>& change) {
    RunTimes times = two_ranks();
    change(times);
    return error_of([&] { to_json_lines(times); });
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(contains(refused([](RunTimes& t) { t.hosts.pop_back(); }),
                       "2 ranks with 1 hosts and 2 clocks"));
  EXPECT_TRUE(contains(refused([](RunTimes& t) { t.clocks[1].uncertainty_us = kNan; }),
                       "a clock is off"));
  EXPECT_TRUE(contains(refused([](RunTimes& t) { t.steps[2].reduced_us = kInf; }),
                       "\"reduced_us\" is no finite number"));
  EXPECT_TRUE(contains(refused([](RunTimes& t) { t.steps[2].begin_us = -kInf; }),
                       "\"begin_us\" is no finite number"));
  EXPECT_TRUE(
      contains(refused([](RunTimes& t) { t.steps[0].buckets[0].ready_us = kNan; }),
               "bucket 0: \"ready_us\" is no finite"));
  EXPECT_TRUE(contains(refused([](RunTimes& t) { t.steps[1].rank = 0; }), "behind"));
}

// Half a file, and one that a disk changed: refused by its line, or a run.
TEST(BucketTimes, CutOrFlippedEndsInALineOrARun) {
  const std::string text = to_json_lines(two_ranks());
  for (size_t length = 0; length < text.size(); ++length) {
    const std::string said = refusal(text.substr(0, length));
    // Cut between lines, what stands is whole.
    if (said == "none") {
      EXPECT_TRUE(text[length] == '\n' || text[length - 1] == '\n') << length;
    } else {
      EXPECT_TRUE(said.starts_with("line ")) << said;
    }
  }
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string flipped = text;
    const size_t where = random() % text.size();
    flipped[where] = static_cast<char>(flipped[where] ^ (1U << (random() % 8)));
    const std::string said = refusal(flipped);
    EXPECT_TRUE(said == "none" || said.starts_with("line ")) << said;
    EXPECT_FALSE(contains(said, "\n")) << said;
    refused += said != "none";
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace lockstep::timing
