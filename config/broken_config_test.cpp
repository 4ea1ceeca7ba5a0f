// Files that are refused, and in which words: one line with file, line and key.
#include <gtest/gtest.h>

#include "tests/config_files.h"

namespace lockstep::config {
namespace {

// A model, so that only what follows is wrong.
const std::string kModel = "model.type = \"mlp\"\n";

struct Broken {
  std::string text, line;
};

// Of a.toml.
const std::vector<Broken> kBroken = {
    // No TOML.
    {"a = ", "a.toml:1: no TOML: key-value pair: encountered end-of-file"},
    {"\n\nlr 0.1", "a.toml:3: no TOML: key-value pair: expected '=', saw '0'"},
    {"[model", "a.toml:1: no TOML: table header: encountered end-of-file"},
    // What toml++ does not look for itself.
    {"\n[ = 0",
     "a.toml:2: no TOML: key: expected bare key starting character or string "
     "delimiter, saw '='"},
    {"a = []\n [[ .a]]",
     "a.toml:2: no TOML: key: expected bare key starting character or string "
     "delimiter, saw '.'"},
    {"[[[a]]]",
     "a.toml:1: no TOML: key: expected bare key starting character or string "
     "delimiter, saw '['"},
    {"\xef\xbb\xbf[\n]",
     "a.toml:1: no TOML: key: expected bare key starting character or string "
     "delimiter, saw '\\n'"},
    {"a = [1, }",
     "a.toml:1: no TOML: value: could not determine value type; text stands in quotes"},
    {"a = [\u2028]",
     "a.toml:1: no TOML: value: could not determine value type; text stands in quotes"},
    {"[]",
     "a.toml:1: no TOML: table header: tables with blank bare keys are explicitly "
     "prohibited"},
    {"= 3",
     "a.toml:1: no TOML: root table: expected keys, tables, whitespace or comments, "
     "saw '='"},
    {"\"\" = 3", "a.toml:1: a key is empty"},
    {"a = 1\nb = 2\na = 3",
     "a.toml:3: no TOML: key-value pair: cannot redefine existing integer 'a'"},
    {"model.type = 1\n[model]\ntype = 2",
     "a.toml:2: no TOML: table header: cannot redefine existing table 'model'"},
    {"a = 1\n[a]\nb = 2",
     "a.toml:2: no TOML: table header: cannot redefine existing integer 'a' as table"},
    {"a = 1\na.b = 2",
     "a.toml:2: no TOML: key-value pair: cannot redefine existing integer as dotted "
     "key-value pair"},
    {"[[a]]\nb = 1\n[a]\n",
     "a.toml:3: no TOML: table header: cannot redefine existing array 'a' as table"},
    {"a = [1, 2\n", "a.toml:1: no TOML: array: encountered end-of-file"},
    {"a = { b = 1,\n c = 2 }",
     "a.toml:1: no TOML: inline table: expected key or closing '}', saw '\\n'"},
    {"a = 'x\n",
     "a.toml:1: no TOML: literal string: control characters other than TAB (U+0009) "
     "are explicitly prohibited"},
    {"a = \"\"\"x\n\n", "a.toml:2: no TOML: string: encountered end-of-file"},
    {"a = \"\\q\"", "a.toml:1: no TOML: string: unknown escape sequence '\\q'"},
    {"a = adam",
     "a.toml:1: no TOML: value: could not determine value type; text stands in quotes"},
    {"a = True", "a.toml:1: no TOML: boolean: expected 'true', saw 'T'"},
    {"a = 012", "a.toml:1: no TOML: decimal integer: leading zeroes are prohibited"},
    {"a = .5", "a.toml:1: no TOML: floating-point: expected decimal digit, saw '.'"},
    {"a = 9223372036854775808",
     "a.toml:1: no TOML: decimal integer: '9223372036854775808' is not representable "
     "in 64 bits"},
    {"a = 1 b = 2",
     "a.toml:1: no TOML: key-value pair: expected a comment or whitespace, saw 'b'"},
    {"a = \"\xff\"", "a.toml:1: no TOML: Encountered invalid utf-8 sequence"},
    {"a = \"\x01\"",
     "a.toml:1: no TOML: string: unescaped control characters other than TAB (U+0009) "
     "are explicitly prohibited"},
    {std::string("a = 1\0", 6),
     "a.toml:1: no TOML: decimal integer: expected digit, saw '\\u0000'"},
    {"\xff\xfe"
     "a",
     "a.toml:1: no TOML: Encountered invalid utf-8 sequence"},
    {"a = 2024-01-02", "a.toml:1: a: is a date or a time; write it as text, in quotes"},
    {"a = [[1, 10:30:00]]",
     "a.toml:1: a.0.1: is a date or a time; write it as text, in quotes"},
    // Deep.
    {"\na = " + std::string(65, '['),
     "a.toml:2: too deep: more than 64 tables and arrays stand in each other"},
    {"\na = " + std::string(100000, '['),
     "a.toml:2: too deep: more than 64 tables and arrays stand in each other"},
    {"a" + std::string(100, '.') + " = 1",
     "a.toml:1: too deep: more than 64 tables and arrays stand in each other"},
    {"[a.b.c]\n\nd.e = " + std::string(61, '[') + std::string(61, ']'),
     "a.toml:3: too deep: more than 64 tables and arrays stand in each other"},
    // Bases.
    {"_base_ = 3", "a.toml:1: _base_: is 3, must be the path of a file, or several"},
    {"_base_ = [\"b.toml\",\n 3]",
     "a.toml:2: _base_: is 3, must be the path of a file, or several"},
    {"\n_base_ = \"c.toml\"", "a.toml:2: _base_: c.toml is not there"},
    {"_base_ = \"\"",
     "a.toml:1: _base_: is text '', must be the path of a file, or several"},
    {"_base_ = \"a.toml\"",
     "a.toml:1: _base_: a.toml stands on itself: a.toml -> a.toml"},
    {"_base_ = \"./a.toml\"",
     "a.toml:1: _base_: a.toml stands on itself: a.toml -> a.toml"},
    {"_base_ = \"folder\"", "a.toml:1: _base_: folder is a folder, must be a file"},
    {"_base_ = \"folder/up.toml\"",
     "folder/up.toml:1: _base_: a.toml stands on itself: a.toml -> folder/up.toml -> "
     "a.toml"},
    {"_base_ = \"round/one.toml\"",
     "round/two.toml:3: _base_: round/one.toml stands on itself: a.toml -> "
     "round/one.toml -> round/two.toml -> round/one.toml"},
    {"_base_ = \"broken.toml\"",
     "broken.toml:3: no TOML: array: encountered end-of-file"},
    {"_base_ = \"b.toml\\u0000x\"", "a.toml:1: _base_: b.toml?x is no path"},
    {"_base_ = \"a.toml/x\"", "a.toml:1: _base_: a.toml/x is not there"},
    {"_base_ = \"b\\n.toml\"", "a.toml:1: _base_: b?.toml is not there"},
    {"_base_ = { path = 'b.toml' }",
     "a.toml:1: _base_: is a table, must be the path of a file, or several"},
    {"_base_ = '" + std::string(300, 'x') + "'",
     "a.toml:1: _base_: " + std::string(300, 'x') +
         " cannot be read: File name too long"},
    {"[model]\ntype = 'mlp'\n_base_ = 'b.toml'",
     "a.toml:3: model._base_: must stand at the top of a file, before its first table"},
    {"[[a]]\nb = 1\n_base_ = 'b.toml'",
     "a.toml:3: a.0._base_: must stand at the top of a file, before its first table"},
    {"_delete_ = 1", "a.toml:1: _delete_: is 1, must be true or false"},
    {"[model]\n_delete_ = 'yes'",
     "a.toml:2: _delete_: is text 'yes', must be true or false"},
    // Types and ranges.
    {"", "a.toml:1: model.type: is missing, must be text"},
    {"\n[model]", "a.toml:2: model.type: is missing, must be text"},
    {"model = 3", "a.toml:1: model: is 3, must be a table"},
    {"model = [{type = 'mlp'}]", "a.toml:1: model: is an array, must be a table"},
    {"model.type = 3", "a.toml:1: model.type: is 3, must be text"},
    {"model.type = { a = 1 }", "a.toml:1: model.type: is a table, must be text"},
    {"model = { type = 'mlp', depth = 18.0 }",
     "a.toml:1: model.depth: is 18.0, must be an integer"},
    {"[model]\ntype = 'mlp'\ndepth = 0", "a.toml:3: model.depth: 0 must be 1 to 1000"},
    {"[model]\ntype = 'mlp'\ndepth = 1001",
     "a.toml:3: model.depth: 1001 must be 1 to 1000"},
    {"model = { type = 'mlp', frozen = ['a',\n 1] }",
     "a.toml:2: model.frozen.1: is 1, must be text"},
    {kModel + "train_cfg.by_epoch = 1",
     "a.toml:2: train_cfg.by_epoch: is 1, must be true or false"},
    {kModel + "train_cfg.max_epochs = '3'",
     "a.toml:2: train_cfg.max_epochs: is text '3', must be an integer"},
    {kModel + "train_cfg.max_epochs = -3",
     "a.toml:2: train_cfg.max_epochs: -3 must be 1 or more"},
    {kModel + "train_cfg.skip = 8", "a.toml:2: train_cfg.skip: 8 must be 7 or less"},
    {kModel + "[optim_wrapper.optimizer]\nlr = -1",
     "a.toml:3: optim_wrapper.optimizer.lr: -1 must be 0 or more"},
    {kModel + "[optim_wrapper.optimizer]\nlr = nan",
     "a.toml:3: optim_wrapper.optimizer.lr: is nan, must be a finite number"},
    {kModel + "[optim_wrapper.optimizer]\nlr = -inf",
     "a.toml:3: optim_wrapper.optimizer.lr: is -inf, must be a finite number"},
    {kModel + "[optim_wrapper.optimizer]\nlr = 1e999",
     "a.toml:3: no TOML: floating-point: '1e999' could not be interpreted as a value"},
    {kModel + "[optim_wrapper.optimizer]\nlr = '0.1'",
     "a.toml:3: optim_wrapper.optimizer.lr: is text '0.1', must be a number"},
    {kModel + "[optim_wrapper.optimizer]\nlr = true",
     "a.toml:3: optim_wrapper.optimizer.lr: is true, must be a number"},
    {kModel + "[optim_wrapper.optimizer]\nmomentum = 1.5",
     "a.toml:3: optim_wrapper.optimizer.momentum: 1.5 must be 0 to 1"},
    {kModel + "[optim_wrapper.optimizer]\nbetas = [0.9,\n 1.1]",
     "a.toml:4: optim_wrapper.optimizer.betas.1: 1.1 must be 0 to 1"},
    {kModel + "[optim_wrapper.optimizer]\nbetas = { a = 1 }",
     "a.toml:3: optim_wrapper.optimizer.betas: is a table, must be a number"},
    {kModel + "[optim_wrapper.optimizer]\ntype = 'Adm'",
     "a.toml:3: optim_wrapper.optimizer.type: unknown 'Adm'; did you mean 'Adam'? "
     "Known: SGD, Adam, AdamW"},
    {kModel + "optim_wrapper = []",
     "a.toml:2: optim_wrapper: is an array, must be a table"},
    {kModel + "[[param_scheduler]]\ntype = 'a'\nbegin = 0",
     "a.toml:2: param_scheduler.0.gamma: is missing, must be a number"},
    {kModel + "[[param_scheduler]]\ntype = 'a'\nbegin = 0\ngamma = "
              "1\n[[param_scheduler]]\ngamma = 1",
     "a.toml:6: param_scheduler.1.type: is missing, must be text"},
    {kModel + "[param_scheduler]\ntype = 'a'\nbegin = 0\ngamma = 2",
     "a.toml:5: param_scheduler.gamma: 2 must be 0 to 1"},
    {kModel + "param_scheduler = [{type = 'a', begin = 0.5, gamma = 1}]",
     "a.toml:2: param_scheduler.0.begin: is 0.5, must be an integer"},
    {kModel + "param_scheduler = [{type = 'a', begin = 1, gamma = 1, milestones = 0}]",
     "a.toml:2: param_scheduler.0.milestones: 0 must be 1 or more"},
    {kModel + "param_scheduler = [3]",
     "a.toml:2: param_scheduler.0: is 3, must be a table"},
    {kModel + "param_scheduler = 3",
     "a.toml:2: param_scheduler: is 3, must be a table"},
    {kModel + "hook = true", "a.toml:2: hook: is true, must be a table"},
    // Nobody asked for it.
    {kModel + "[train_cfg]\nmax_epoch = 3",
     "a.toml:3: train_cfg.max_epoch: unknown key; did you mean 'max_epochs'? Known: "
     "by_epoch, max_epochs, skip"},
    {kModel + "modle.type = 'mlp'",
     "a.toml:2: modle: unknown key; did you mean 'model'? Known: hook, model, "
     "optim_wrapper, param_scheduler, train_cfg"},
    {"zebra = 1\n" + kModel + "apple = 1",
     "a.toml:1: zebra: unknown key; did you mean 'hook'? Known: hook, model, "
     "optim_wrapper, param_scheduler, train_cfg"},
    {kModel + "z = {}",
     "a.toml:2: z: unknown key; did you mean 'hook'? Known: hook, model, "
     "optim_wrapper, param_scheduler, train_cfg"},
    {kModel + "\"a b\\n\" = 1",
     "a.toml:2: \"a b?\": unknown key; did you mean 'hook'? Known: hook, model, "
     "optim_wrapper, param_scheduler, train_cfg"},
    {kModel + std::string(70, 'k') + " = 1",
     "a.toml:2: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: "
     "unknown key; did you mean 'hook'? Known: hook, model, optim_wrapper, "
     "param_scheduler, train_cfg"},
    {kModel + "hook = { name = 'x', a = 1, A = 1 }",
     "a.toml:2: hook.a: unknown key; did you mean 'name'? Known: name"},
    {kModel + "[[param_scheduler]]\ntype = 'a'\nbegin = 0\ngamma = 1\ngama = 3",
     "a.toml:6: param_scheduler.0.gama: unknown key; did you mean 'gamma'? Known: "
     "begin, gamma, milestones, type"},
    {kModel + "_base_ = 'b.toml'",
     "b.toml:4: model.dept: unknown key; did you mean 'depth'? Known: depth, frozen, "
     "type"},
    {"_base_ = 'b.toml'\n[optim_wrapper.optimizer]\nmomentun = 0.9",
     "a.toml:3: optim_wrapper.optimizer.momentun: unknown key; did you mean "
     "'momentum'? Known: betas, lr, momentum, type"},
};

class BrokenConfigTest : public testing::Test {
 protected:
  BrokenConfigTest() {
    write("b.toml", "\n[model]\ntype = 'mlp'\ndept = 3\n");
    write("folder/up.toml", "_base_ = '../a.toml'\n");
    write("round/one.toml", "\n_base_ = ['two.toml']\n");
    write("round/two.toml", "\n\n_base_ = 'one.toml'\n");
    write("broken.toml", "\n\na = [\n");
  }
  Folder folder_;
};

TEST_F(BrokenConfigTest, OneLineSaysWhereAndWhat) {
  for (const auto& [text, line] : kBroken) {
    write("a.toml", text);
    EXPECT_EQ(refusal("a.toml"), line) << text;
  }
}

TEST_F(BrokenConfigTest, TheFileThatWasAskedFor) {
  EXPECT_EQ(refusal("none.toml"), "none.toml: is not there");
  EXPECT_EQ(refusal("folder"), "folder: is a folder, must be a file");
  EXPECT_EQ(refusal(""), "'': is not there");
  EXPECT_EQ(refusal("/dev/zero"), "/dev/zero: is larger than 16 MiB");
  write("a.toml", "a = '" + std::string((16 << 20) - 6, 'x') + "'");
  EXPECT_EQ(refusal("a.toml"), "a.toml:1: model.type: is missing, must be text");
  write("a.toml", "a = '" + std::string((16 << 20) - 5, 'x') + "'");
  EXPECT_EQ(refusal("a.toml"), "a.toml: is larger than 16 MiB");
}

// A file that names another twice, and so on, would be read 2^n times.
TEST_F(BrokenConfigTest, FilesAreCounted) {
  write("0.toml", "");
  for (int i = 1; i < 30; ++i) {
    const std::string below = "'" + std::to_string(i - 1) + ".toml'";
    write(std::to_string(i) + ".toml", "_base_ = [" + below + ", " + below + "]\n");
  }
  EXPECT_NE(refusal("29.toml").find("1000 files were read, this would be one more"),
            std::string::npos)
      << refusal("29.toml");
}

// Brackets and dots of text and comments are none.
TEST_F(BrokenConfigTest, OnlyWhatIsDeepIsTooDeep) {
  const std::string many(1000, '['), dots(1000, '.');
  const std::vector<std::string> fine = {
      "'" + many + dots + "'",
      "\"" + many + "\\\"" + dots + "\"",
      "\"\"\"\n" + many + "\"\"\\\"\n" + dots + "\"\"\"\"\"",
      "'''" + many + "''" + dots + "''''",
      "1 # " + many + dots,
  };
  for (const std::string& value : fine) {
    write("a.toml", kModel + "x = " + value + "\ny = 1");
    EXPECT_TRUE(refusal("a.toml").starts_with("a.toml:2: x: unknown key"))
        << refusal("a.toml");
  }
  std::string numbers, comments;
  for (int i = 0; i < 100; ++i) comments += "# a [\n";
  write("a.toml", comments + kModel);
  EXPECT_EQ(refusal("a.toml"), "");
  for (int i = 0; i < 1000; ++i) numbers += "0.5, ";
  write("a.toml", kModel + "optim_wrapper.optimizer.betas = [" + numbers + "]");
  EXPECT_EQ(refusal("a.toml"), "");
  const std::string deepest = std::string(63, '[') + std::string(63, ']');
  write("a.toml", kModel + "x = " + deepest);
  EXPECT_TRUE(refusal("a.toml").starts_with("a.toml:2: x: unknown key"));
  write("a.toml", kModel + "x = [" + deepest + "]");
  EXPECT_EQ(refusal("a.toml").substr(0, 20), "a.toml:2: x: unknown");
  write("a.toml", kModel + "x = [[" + deepest + "]]");
  EXPECT_EQ(refusal("a.toml"),
            "a.toml:2: too deep: more than 64 tables and arrays stand in each other");
}

}  // namespace
}  // namespace lockstep::config
