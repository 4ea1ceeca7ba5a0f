// What a grade is shown as: Gradescope's format as it is documented, and a solution's
// own words as text everywhere.
#include "grading/outputs.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace lockstep::grading {
namespace {

using nlohmann::json;

const char kHostile[] =
    "</pre></code><script>alert(1)</script><img src=x onerror=alert(2)>\" "
    "onload='alert(3)' & \x1b]0;title\x07\x1b[2J\xc2\x9b"
    "31m \xff end";

Grade graded() {
  Grade grade;
  grade.lab = 5;
  grade.title = "Buckets";
  grade.outcomes = {{"mean", "every rank holds the mean", 4, Verdict::passed, "", {}},
                    {"count",
                     "one collective a bucket",
                     3,
                     Verdict::refused,
                     "8 collectives, not 2",
                     {"one_a_parameter", "a bucket holds several", "3_ddp.md#buckets"}},
                    {"hang",
                     "it ends",
                     2,
                     Verdict::timed_out,
                     kHostile,
                     {"waits", kHostile, "javascript:alert(4)//\" onclick=\"alert(5)"}},
                    {"rest", kHostile, 1, Verdict::not_run, "", {}}};
  grade.printed = std::string(kHostile) + "\nsecond line\n";
  return grade;
}

std::string::size_type count_of(const std::string& word, const std::string& text) {
  std::string::size_type count = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

// https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format: these
// keys, of these kinds, and no other.
void expect_documented(const json& object,
                       const std::map<std::string, std::string>& kinds) {
  for (const auto& [key, value] : object.items()) {
    const auto found = kinds.find(key);
    ASSERT_NE(found, kinds.end()) << key << " is not documented";
    EXPECT_EQ(value.type_name(), found->second) << key;
  }
}

TEST(OutputsTest, GradescopeGetsItsDocumentedFormat) {
  const json results = json::parse(as_gradescope(graded()));
  expect_documented(results, {{"score", "number"},
                              {"execution_time", "number"},
                              {"output", "string"},
                              {"output_format", "string"},
                              {"test_output_format", "string"},
                              {"test_name_format", "string"},
                              {"visibility", "string"},
                              {"stdout_visibility", "string"},
                              {"extra_data", "object"},
                              {"tests", "array"},
                              {"leaderboard", "array"}});
  EXPECT_EQ(results.at("score"), 4);
  const std::set<std::string> visibilities = {"hidden", "after_due_date",
                                              "after_published", "visible"};
  const std::set<std::string> formats = {"text", "html", "simple_format", "md", "ansi"};
  EXPECT_TRUE(visibilities.count(results.at("visibility")));
  EXPECT_TRUE(visibilities.count(results.at("stdout_visibility")));
  EXPECT_EQ(results.at("output_format"), "text");
  ASSERT_EQ(results.at("tests").size(), 4u);
  double scores = 0;
  for (const json& test : results.at("tests")) {
    expect_documented(test, {{"score", "number"},
                             {"max_score", "number"},
                             {"status", "string"},
                             {"name", "string"},
                             {"name_format", "string"},
                             {"number", "string"},
                             {"output", "string"},
                             {"output_format", "string"},
                             {"tags", "array"},
                             {"visibility", "string"},
                             {"extra_data", "object"}});
    EXPECT_TRUE(test.at("status") == "passed" || test.at("status") == "failed");
    EXPECT_TRUE(visibilities.count(test.at("visibility")));
    EXPECT_TRUE(formats.count(test.at("output_format")));
    for (const json& tag : test.at("tags")) EXPECT_TRUE(tag.is_string());
    EXPECT_LE(test.at("score"), test.at("max_score"));
    scores += test.at("score").get<double>();
  }
  EXPECT_EQ(scores, results.at("score"));
  const json& refused = results.at("tests").at(1);
  EXPECT_EQ(refused.at("status"), "failed");
  EXPECT_EQ(refused.at("score"), 0);
  EXPECT_EQ(refused.at("max_score"), 3);
  EXPECT_EQ(refused.at("number"), "5.2");
  EXPECT_EQ(refused.at("tags"), json({"refused", "one_a_parameter"}));
  EXPECT_EQ(refused.at("output"),
            "saw: 8 collectives, not 2\none_a_parameter: a bucket holds several\n"
            "read: docs/3_ddp.md#buckets\n");
}

TEST(OutputsTest, TerminalSaysWhatWasSeenAndWhereToRead) {
  const std::string text = as_text(graded());
  EXPECT_NE(text.find("  passed     4 of 4  mean   every rank holds the mean\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("  refused    0 of 3  count  one collective a bucket\n"
                      "      saw: 8 collectives, not 2\n"
                      "      one_a_parameter: a bucket holds several\n"
                      "      read: docs/3_ddp.md#buckets\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\nlab 5: 4 of 10 points\n"), std::string::npos) << text;
}

TEST(OutputsTest, TerminalGetsNoControlCharacters) {
  const std::string text = as_text(graded());
  for (const char c : text) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << int{c};
  }
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
}

TEST(OutputsTest, LongOutputIsCut) {
  EXPECT_EQ(first_lines("a\nb\nc\n", 3), "a\nb\nc\n");
  EXPECT_EQ(first_lines("a\nb\nc\n", 2), "a\nb\n(and 1 lines more)\n");
  EXPECT_EQ(one_line("two\nlines\t\x1b[1m"), "two lines  [1m");
}

// The elements and attributes of a page are those that page.cpp writes, whatever a
// solution says.
TEST(OutputsTest, PageTakesASolutionsWordsAsText) {
  Grade tame = graded();
  tame.printed = "said\n";
  for (Outcome& outcome : tame.outcomes) {
    if (!outcome.saw.empty()) outcome.saw = "seen";
    if (!outcome.misconception.says.empty()) outcome.misconception.says = "said";
    if (!outcome.misconception.read.empty()) outcome.misconception.read = "0.md#a";
    outcome.asks = "asked";
  }
  const std::string page = as_page({graded()}, "docs");
  const std::string plain = as_page({tame}, "docs");
  for (const char* mark : {"<", ">", "\""}) {
    EXPECT_EQ(count_of(mark, page), count_of(mark, plain)) << mark;
  }
  EXPECT_EQ(count_of("<script", page), 0u);
  EXPECT_EQ(count_of("<img", page), 0u);
  EXPECT_EQ(count_of("href=\"javascript:", page), 0u);
  EXPECT_GT(count_of("&lt;script&gt;alert(1)", page), 0u);
  EXPECT_NE(
      page.find("Content-Security-Policy\"\n content=\"default-src 'none'; style-src"),
      std::string::npos);
}

TEST(OutputsTest, PageHoldsAllLabsAndNeedsNothingElse) {
  Grade other;
  other.lab = 6;
  other.title = "Overlap";
  other.outcomes = {{"first", "before the end", 5, Verdict::passed, "", {}}};
  const std::string page = as_page({graded(), other}, "../docs");
  EXPECT_NE(page.find("<a href=\"../docs/3_ddp.md#buckets\">"), std::string::npos);
  EXPECT_NE(page.find("<th>Together</th><th>9 of 15 points</th>"), std::string::npos);
  EXPECT_NE(page.find("<section id=\"lab-5\">"), std::string::npos);
  EXPECT_NE(page.find("<section id=\"lab-6\">"), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(page.find("name=\"viewport\""), std::string::npos);
  for (const char* outside : {"src=", "url(", "http:", "https:", "@import"}) {
    Grade tame = other;
    EXPECT_EQ(as_page({tame}, "../docs").find(outside), std::string::npos) << outside;
  }
}

}  // namespace
}  // namespace lockstep::grading
