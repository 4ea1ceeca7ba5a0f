#include "config/section.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/config_files.h"

namespace lockstep::config {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

class SectionTest : public testing::Test {
 protected:
  Section read(const std::string& text) {
    write("a.toml", text);
    return load("a.toml", {});
  }
  Folder folder_;
};

std::string error_of(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(SectionTest, EachTypeIsRead) {
  const Section top = read(
      "yes = true\nn = -7\nx = 0.1\ns = \"a\\u00e9\\n\"\nw = 'b'\n"
      "least = -9223372036854775808\nmost = 9223372036854775807\n"
      "ns = [1, 2]\nxs = [1, 2.5]\nss = ['a', 'b']\nnone = []\n");
  EXPECT_TRUE(top.boolean("yes", false));
  EXPECT_EQ(top.integer("n", 0, -7, -7), -7);
  EXPECT_EQ(top.integer("least", 0, kLeast, kMost), kLeast);
  EXPECT_EQ(top.integer("most", 0, kLeast, kMost), kMost);
  EXPECT_EQ(top.number("x", 0, 0.1, 0.1), 0.1);
  EXPECT_EQ(top.number("n", 0, -kInfinity, kInfinity), -7.0);
  EXPECT_EQ(top.text("s", ""), "a\u00e9\n");
  EXPECT_EQ(top.word("w", "a", {"a", "b"}), "b");
  EXPECT_EQ(top.integers("ns", 1, 2), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(top.integers("n", -7, 0), (std::vector<int64_t>{-7}));
  EXPECT_EQ(top.numbers("xs", 0, 3), (std::vector<double>{1, 2.5}));
  EXPECT_EQ(top.numbers("x", 0, 3), (std::vector<double>{0.1}));
  EXPECT_EQ(top.texts("ss"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(top.texts("w"), (std::vector<std::string>{"b"}));
  EXPECT_TRUE(top.integers("none", 1, 2).empty());
  EXPECT_EQ(top.required_integer("n", -7, 0), -7);
  EXPECT_EQ(top.required_number("x", 0, 1), 0.1);
  EXPECT_EQ(top.required_text("w"), "b");
  top.finish();
}

// toml++ 3.3.0 tells the compiler that some never come to where they do come (its
// is_non_ascii_horizontal_whitespace, from U+00A1 on): so here they all come.
TEST_F(SectionTest, EveryLetterOfUnicodeIsRead) {
  std::string all;
  for (uint32_t code = 0x80; code <= 0x10ffff; ++code) {
    if (code >= 0xd800 && code <= 0xdfff) continue;  // halves of UTF-16's pairs
    const uint32_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    all += static_cast<char>((0xffU << (7 - more) & 0xff) | code >> 6 * more);
    for (uint32_t i = more; i > 0; --i)
      all += static_cast<char>(0x80 | (code >> 6 * (i - 1) & 0x3f));
  }
  const Section top = read("# " + all + "\na = \"" + all + "\"\nb = '" + all + "'\n");
  EXPECT_TRUE(top.text("a", "") == all);
  EXPECT_TRUE(top.text("b", "") == all);
}

TEST_F(SectionTest, WhatIsNotThereIsTheUsual) {
  for (const Section& empty :
       {Section(), read(""), read("").section("a"), read("[a]").section("a")}) {
    EXPECT_FALSE(empty.has("k"));
    EXPECT_TRUE(empty.boolean("k", true));
    EXPECT_EQ(empty.integer("k", -1, 0, 5), -1);  // not held to the range
    EXPECT_EQ(empty.number("k", kInfinity, 0, 5), kInfinity);
    EXPECT_EQ(empty.text("k", "u"), "u");
    EXPECT_EQ(empty.word("k", "u", {"a"}), "u");
    EXPECT_TRUE(empty.integers("k", 0, 5).empty());
    EXPECT_TRUE(empty.numbers("k", 0, 5).empty());
    EXPECT_TRUE(empty.texts("k").empty());
    EXPECT_TRUE(empty.sections("k").empty());
    EXPECT_FALSE(empty.is_table("k"));
    EXPECT_FALSE(empty.is_false("k"));
    EXPECT_TRUE(empty.keys().empty());
    EXPECT_EQ(empty.section("k").section("k").integer("k", 3, 0, 5), 3);
    empty.finish();
  }
}

TEST_F(SectionTest, WhatIsMissingSaysWhereItWouldBe) {
  EXPECT_EQ(error_of([] { Section().required_text("k"); }),
            "k: is missing, must be text");
  const Section top = read("\n[a]\nb = 1\n[[c]]\n");
  const auto of = [](const Section& section) {
    return error_of([&] { section.required_number("k", 0, 1); });
  };
  EXPECT_EQ(of(top), "a.toml:1: k: is missing, must be a number");
  EXPECT_EQ(of(top.section("a")), "a.toml:2: a.k: is missing, must be a number");
  EXPECT_EQ(of(top.section("d").section("e")),
            "a.toml:1: d.e.k: is missing, must be a number");
  EXPECT_EQ(of(top.sections("c")[0]), "a.toml:4: c.0.k: is missing, must be a number");
}

TEST_F(SectionTest, ARangeSaysItsEnds) {
  const Section top = read("n = 5\nx = 5.5\n");
  const auto n = [&](int64_t least, int64_t most) {
    return error_of([&] { top.integer("n", 0, least, most); });
  };
  EXPECT_EQ(n(6, kMost), "a.toml:1: n: 5 must be 6 or more");
  EXPECT_EQ(n(kLeast, 4), "a.toml:1: n: 5 must be 4 or less");
  EXPECT_EQ(n(6, 7), "a.toml:1: n: 5 must be 6 to 7");
  EXPECT_EQ(n(6, 6), "a.toml:1: n: 5 must be 6");
  EXPECT_EQ(n(5, 5), "");
  const auto x = [&](const std::string& key, double least, double most) {
    return error_of([&] { top.number(key, 0, least, most); });
  };
  EXPECT_EQ(x("x", 6, kInfinity), "a.toml:2: x: 5.5 must be 6 or more");
  EXPECT_EQ(x("x", -kInfinity, 0.1), "a.toml:2: x: 5.5 must be 0.1 or less");
  EXPECT_EQ(x("n", 0, std::nextafter(5.0, 0.0)),
            "a.toml:1: n: 5 must be 0 to 4.999999999999999");
  EXPECT_EQ(x("n", 5, 5), "");
}

TEST_F(SectionTest, AskedKeysAreKnown) {
  const Section top = read("a = 1\nb = 2\nc = 3\n[d]\ne = 4\n");
  const auto end = [&] { return error_of([&] { top.finish(); }); };
  EXPECT_EQ(end(), "a.toml:1: a: unknown key; none is known");
  EXPECT_EQ(top.keys(), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(end(), "a.toml:1: a: unknown key; none is known");
  EXPECT_TRUE(top.has("a"));
  EXPECT_EQ(end(), "a.toml:2: b: unknown key; did you mean 'a'? Known: a");
  EXPECT_FALSE(top.is_table("b"));
  EXPECT_EQ(end(), "a.toml:3: c: unknown key; did you mean 'a'? Known: a, b");
  EXPECT_FALSE(top.is_false("c"));
  EXPECT_TRUE(top.is_table("d"));
  EXPECT_EQ(end(), "");  // nobody opened the table: its keys are no business of ours
  const Section d = top.section("d");
  EXPECT_EQ(end(), "a.toml:5: d.e: unknown key; none is known");
  EXPECT_EQ(error_of([&] { d.finish(); }), "a.toml:5: d.e: unknown key; none is known");
  // Copies, and the same table asked for again, are one.
  const Section copy = top;
  EXPECT_EQ(copy.section("d").integer("e", 0, 0, 9), 4);
  EXPECT_EQ(end(), "");
  EXPECT_EQ(error_of([&] { d.finish(); }), "");
}

TEST_F(SectionTest, TheFirstUnknownKeyIsTheFirstByPlace) {
  const Section top = read("z.y = 1\n[m]\nq = 1\np = 2\n[[l]]\nk = 1\n[a]\nb = 1\n");
  top.section("a");
  top.section("m").has("q");
  const auto end = [&] { return error_of([&] { top.finish(); }).substr(0, 14); };
  EXPECT_EQ(end(), "a.toml:1: z: u");
  top.section("z").has("y");
  EXPECT_EQ(end(), "a.toml:4: m.p:");
  top.section("m").has("p");
  EXPECT_EQ(end(), "a.toml:5: l: u");
  for (const Section& l : top.sections("l")) l.section("x");
  EXPECT_EQ(end(), "a.toml:6: l.0.");
  top.sections("l")[0].has("k");
  EXPECT_EQ(end(), "a.toml:8: a.b:");
}

TEST_F(SectionTest, TheCommandLinesKeysComeLast) {
  write("b.toml", "in_base = 1\n");
  write("a.toml", "_base_ = 'b.toml'\n\n\nin_file = 1\n");
  const Section top = load("a.toml", {"a=1"});
  const auto end = [&] { return error_of([&] { top.finish(); }); };
  EXPECT_TRUE(end().starts_with("a.toml:4: in_file:")) << end();
  top.has("in_file");
  EXPECT_TRUE(end().starts_with("b.toml:1: in_base:")) << end();
  top.has("in_base");
  EXPECT_TRUE(end().starts_with("command line: a:")) << end();
}

TEST_F(SectionTest, TablesOfAnArrayAreEachTheirOwn) {
  const Section top = read("one = { a = 1 }\n[[two]]\na = 2\n[[two]]\na = 3\n");
  ASSERT_EQ(top.sections("one").size(), 1U);
  EXPECT_EQ(top.sections("one")[0].integer("a", 0, 0, 9), 1);
  const std::vector<Section> two = top.sections("two");
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[1].integer("a", 0, 0, 9), 3);
  EXPECT_EQ(error_of([&] { top.finish(); }),
            "a.toml:3: two.0.a: unknown key; none is known");
  EXPECT_EQ(two[0].integer("a", 0, 0, 9), 2);
  top.finish();
}

TEST_F(SectionTest, AHookIsSwitchedOff) {
  const Section top = read("a = false\nb = true\nc = 0\nd = {}\n");
  EXPECT_TRUE(top.is_false("a"));
  EXPECT_FALSE(top.is_false("b"));
  EXPECT_FALSE(top.is_false("c"));
  EXPECT_FALSE(top.is_false("d"));
  EXPECT_TRUE(top.is_table("d"));
  EXPECT_FALSE(top.is_table("a"));
}

TEST_F(SectionTest, TheReaderFailsAtAKey) {
  const Section top = read("\na.b = 1\n");
  const auto fail = [](const Section& section, const std::string& key) {
    return error_of([&] { section.fail(key, "no"); });
  };
  EXPECT_EQ(fail(top, ""), "a.toml:1: no");
  EXPECT_EQ(fail(top, "a"), "a.toml:2: a: no");
  EXPECT_EQ(fail(top, "c d"), "a.toml:1: \"c d\": no");
  EXPECT_EQ(fail(top.section("a"), ""), "a.toml:2: a: no");
  EXPECT_EQ(fail(top.section("a"), "b"), "a.toml:2: a.b: no");
  EXPECT_EQ(fail(Section(), ""), "no");
  EXPECT_EQ(fail(Section(), "x"), "x: no");
}

TEST_F(SectionTest, ATableOutlivesTheFile) {
  Section d;
  {
    const Section top = read("a.b = 'text that is too long to lie in the string'\n");
    d = top.section("a");
  }
  EXPECT_EQ(d.text("b", ""), "text that is too long to lie in the string");
}

}  // namespace
}  // namespace lockstep::config
