#include "data/text.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::data {
namespace {

using Bytes = std::vector<uint8_t>;

std::string refusal(const Bytes& bytes, int64_t vocabulary = 256) {
  try {
    cut_text(bytes, /*length=*/64, vocabulary, "f");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(TextTest, TheLastTenthIsForTheTest) {
  const auto halves = [](size_t bytes) {
    const TextHalves cut = cut_text(Bytes(bytes), 64, 256, "f");
    return std::pair(cut.train, cut.test);
  };
  EXPECT_EQ(halves(64 * 100 + 1), std::pair(int64_t{90}, int64_t{10}));
  EXPECT_EQ(halves(64 * 100), std::pair(int64_t{90}, int64_t{9}));  // no next byte
  EXPECT_EQ(halves(64 * 2 + 1), std::pair(int64_t{1}, int64_t{1}));
}

TEST(TextTest, WhatIsTooShortIsRefused) {
  const std::string need =
      " bytes; a sequence of 64 tokens to train on and one to test on need 129";
  EXPECT_EQ(refusal(Bytes(0)), "f: only 0" + need);
  EXPECT_EQ(refusal(Bytes(1)), "f: only 1" + need);
  EXPECT_EQ(refusal(Bytes(128)), "f: only 128" + need);
  EXPECT_EQ(refusal(Bytes(129)), "accepted");
}

TEST(TextTest, AByteBeyondTheVocabularyIsNamed) {
  Bytes bytes(200, 99);
  EXPECT_EQ(refusal(bytes, 100), "accepted");
  bytes[150] = 100;
  EXPECT_EQ(refusal(bytes, 100),
            "f: byte 150 is 100, and a vocabulary of 100 has no such token; try "
            "--vocab-size 256");
}

}  // namespace
}  // namespace lockstep::data
