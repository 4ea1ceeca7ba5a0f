// Whatever is done to a good file or a good change, loading and reading it ends in a
// Section or in an Error of one line.
#include <gtest/gtest.h>

#include <random>

#include "tests/config_files.h"

namespace lockstep::config {
namespace {

const std::string kGood = R"(# A good one.
_base_ = ["b.toml"]
hook = false
[model]
type = "mlp"
depth = 18
frozen = ["stem", 'its', """two
lines"""]
[optim_wrapper.optimizer]
type = 'SGD'
lr = 1e-3
"momentum" = 0.9
betas = [0.9, 0.999]
[train_cfg]
by_epoch = true
max_epochs = 3
[[param_scheduler]]
type = "multi-step"
begin = 0
gamma = 0.1
milestones = [8, 11]
[[param_scheduler]]
_delete_ = true
type = "multi-step"
begin = 0x10
gamma = +1
)";

const std::vector<std::string> kPieces = {"[",
                                          "]",
                                          "[[",
                                          "{",
                                          "}",
                                          "=",
                                          ".",
                                          ",",
                                          "\n",
                                          "\"",
                                          "'",
                                          "\"\"\"",
                                          "'''",
                                          "#",
                                          "\\",
                                          "_base_ = ",
                                          "_delete_",
                                          "nan",
                                          "-",
                                          "inf",
                                          "1e",
                                          "0x",
                                          "99999999",
                                          "true",
                                          "\r",
                                          "\xff",
                                          "\xe2\x82",
                                          "\t",
                                          std::string(1, '\0'),
                                          "\\u00",
                                          "\\UFFFFFFFF",
                                          "1979-05-27T07:32:00Z",
                                          "a.b.c.",
                                          "lr"};

class Mutations {
 public:
  std::string of(std::string text) {
    for (int edits = below(3); edits >= 0; --edits) {
      const size_t at = static_cast<size_t>(below(static_cast<int>(text.size()) + 1));
      switch (below(5)) {
        case 0:
          text.insert(at, kPieces[below(static_cast<int>(kPieces.size()))]);
          break;
        case 1:
          text.erase(at, below(20));
          break;
        case 2:
          text.insert(at,
                      text.substr(below(static_cast<int>(text.size()) + 1), below(60)));
          break;
        case 3:
          if (at < text.size()) text[at] = static_cast<char>(below(256));
          break;
        default:
          text.insert(
              at, std::string(below(100), text.empty() ? '[' : text[at % text.size()]));
      }
    }
    return text;
  }

 private:
  int below(int most) { return std::uniform_int_distribution<>(0, most - 1)(random_); }

  std::mt19937 random_{12};
};

void expect_one_line(const std::string& line) {
  for (const char letter : line)
    ASSERT_FALSE((letter >= 0 && letter < ' ') || letter == 0x7f) << line;
}

TEST(ConfigFuzz, AFileIsReadOrRefused) {
  const Folder folder;
  write("b.toml",
        "optim_wrapper.optimizer.lr = 3\nmodel = { type = 'x', _delete_ = true }");
  write("a.toml", kGood);
  ASSERT_EQ(refusal("a.toml"), "");
  Mutations mutations;
  int read = 0, refused = 0;
  for (int i = 0; i < 8000; ++i) {
    write("a.toml", mutations.of(kGood));
    const std::string line = refusal("a.toml");
    expect_one_line(line);
    ++(line.empty() ? read : refused);
  }
  // Both happened, and not rarely: the mutations are neither too mild nor too wild.
  EXPECT_GT(read, 400);
  EXPECT_GT(refused, 4000);
}

// The deepest that toml++ is given to read: a stack's worth of its recursion.
TEST(ConfigFuzz, DottedKeysInEachOtherEndNothing) {
  const Folder folder;
  std::string keys = "k";
  for (int i = 0; i < 63; ++i) keys += ".k";
  std::string text = "[" + keys + "]\n";
  for (int i = 0; i < 64; ++i) text += keys + " = {";
  write("a.toml", text + std::string(64, '}'));
  EXPECT_EQ(refusal("a.toml"),
            "a.toml:2: too deep: more than 64 tables and arrays stand in each other");
  std::string endless = "k";
  for (int i = 0; i < 1000000; ++i) endless += ".k";
  write("a.toml", endless + " = 1");
  const std::string line =
      "a.toml:1: too deep: more than 64 tables and arrays stand in each other";
  EXPECT_EQ(refusal("a.toml"), line);
  write("a.toml", "x = {" + endless + " = 1}");
  EXPECT_EQ(refusal("a.toml"), line);
}

TEST(ConfigFuzz, AChangeIsAppliedOrRefused) {
  const Folder folder;
  write("b.toml", "");
  write("a.toml", kGood);
  Mutations mutations;
  int read = 0, refused = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string change = mutations.of(
        i % 2 == 0 ? "optim_wrapper.optimizer.betas=[0.5, 0.25]"
                   : "param_scheduler.1={_delete_=true, type='a', begin=1, gamma=0.5}");
    const std::string line = refusal("a.toml", {change});
    expect_one_line(line);
    ++(line.empty() ? read : refused);
  }
  EXPECT_GT(read, 40);
  EXPECT_GT(refused, 2000);
}

}  // namespace
}  // namespace lockstep::config
