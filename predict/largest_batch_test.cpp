#include "predict/largest_batch.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace lockstep::predict {
namespace {

TEST(LargestBatch, IsFoundFromAnyGuess) {
  for (int64_t answer = 0; answer < 70; ++answer) {
    for (int64_t guess = 1; guess < 70; ++guess) {
      const auto fits = [answer](int64_t batch) {
        EXPECT_GE(batch, 1);
        return batch <= answer;
      };
      ASSERT_EQ(largest_batch(guess, 100, fits), answer) << "from " << guess;
    }
  }
  const auto many = [](int64_t batch) { return batch <= 123456789; };
  EXPECT_EQ(largest_batch(1, 100, many), 123456789);
}

TEST(LargestBatch, ARightGuessTakesTwoQuestions) {
  std::vector<int64_t> asked;
  const auto fits = [&asked](int64_t batch) {
    asked.push_back(batch);
    return batch <= 40;
  };
  EXPECT_EQ(largest_batch(40, 2, fits), 40);
  EXPECT_EQ(asked, (std::vector<int64_t>{40, 41}));
  EXPECT_EQ(largest_batch(41, 2, fits), 40) << "one too many: as quick";
  EXPECT_THROW(largest_batch(38, 2, fits), std::runtime_error);
  EXPECT_THROW(largest_batch(1, 30, [](int64_t) { return true; }), std::runtime_error);
}

}  // namespace
}  // namespace lockstep::predict
