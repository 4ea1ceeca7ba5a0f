// A grade survives its way through JSON, and no other text becomes one.
#include "grading/grade.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace lockstep::grading {
namespace {

Grade sample_grade() {
  Grade grade;
  grade.lab = 5;
  grade.title = "Buckets";
  grade.bonus = true;
  grade.outcomes = {
      {"mean", "every rank holds the mean", 4, Verdict::passed, "", {}},
      {"count",
       "one collective a bucket",
       3,
       Verdict::refused,
       "saw 8, not 2",
       {"one_a_parameter", "a bucket holds several", "3_ddp.md#buckets"}}};
  grade.printed = "a \"line\"\n\xff";
  return grade;
}

TEST(GradeTest, PointsAreThoseOfWhatPassed) {
  EXPECT_EQ(sample_grade().points(), 7);
  EXPECT_EQ(sample_grade().earned(), 4);
}

TEST(GradeTest, TogetherTellsWhatComesOnTop) {
  Grade other = sample_grade();
  other.bonus = false;
  EXPECT_EQ(together({other, other}), "8 of 14 points");
  EXPECT_EQ(together({other, sample_grade()}), "4 of 7 points, 4 of 7 on top");
}

TEST(GradeTest, ComesBackFromJson) {
  const std::string text = to_json(sample_grade());
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const Grade grade = grade_from_json(text);
  EXPECT_EQ(grade.lab, 5);
  EXPECT_TRUE(grade.bonus);
  ASSERT_EQ(grade.outcomes.size(), 2);
  EXPECT_EQ(grade.outcomes[0].verdict, Verdict::passed);
  EXPECT_EQ(grade.outcomes[1].verdict, Verdict::refused);
  EXPECT_EQ(grade.outcomes[1].saw, "saw 8, not 2");
  EXPECT_EQ(grade.outcomes[1].misconception.read, "3_ddp.md#buckets");
  EXPECT_EQ(grade.printed, "a \"line\"\n\xEF\xBF\xBD");
  EXPECT_EQ(to_json(grade), text);
}

TEST(GradeTest, RefusesAnotherText) {
  const std::string good = to_json(sample_grade());
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), good.substr(0, 90),
        with("\"schema\":1", "\"schema\":2"), with("\"refused\"", "\"won\""),
        with("\"points\":4", "\"points\":-4"), with("\"points\":4", "\"points\":4.5"),
        with("\"saw 8, not 2\"", "8")}) {
    EXPECT_THROW(grade_from_json(text), std::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace lockstep::grading
