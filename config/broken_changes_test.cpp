// What of the command line is refused, and in which words.
#include <gtest/gtest.h>

#include "tests/config_files.h"

namespace lockstep::config {
namespace {

struct Broken {
  std::vector<std::string> changes;
  std::string line;
};

const std::vector<Broken> kBroken = {
    {{""},
     "command line: '' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"lr"},
     "command line: 'lr' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"=3"},
     "command line: '=3' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"a..b=3"},
     "command line: 'a..b=3' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{".a=3"},
     "command line: '.a=3' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"a.=3"},
     "command line: 'a.=3' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"a b=3"},
     "command line: 'a b=3' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"\"a\"b=3"},
     "command line: '\"a\"b=3' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"_base_=b.toml"}, "command line: _base_: must stand in a file"},
    {{"optim_wrapper.optimizer.lr=-1"},
     "command line: optim_wrapper.optimizer.lr: -1 must be 0 or more"},
    {{"optim_wrapper.optimizer.lr=.1"},
     "command line: optim_wrapper.optimizer.lr: is text '.1', must be a number"},
    {{"optim_wrapper.optimizer.lr=\"0.1"},
     "command line: optim_wrapper.optimizer.lr: '\"0.1' is no TOML: string: unescaped "
     "control characters other than TAB (U+0009) are explicitly prohibited"},
    {{"optim_wrapper.optimizer.lr="},
     "command line: optim_wrapper.optimizer.lr: is text '', must be a number"},
    {{"optim_wrapper.optimizer.lr.x=1"},
     "command line: optim_wrapper.optimizer.lr.x: optim_wrapper.optimizer.lr is 0.1 "
     "(a.toml:3), not a table"},
    {{"train_cfg.max_epochs=1 # one"},
     "command line: train_cfg.max_epochs: is text '1 # one', must be an integer"},
    {{"train_cfg.max_epochs=1, 2"},
     "command line: train_cfg.max_epochs: is text '1, 2', must be an integer"},
    {{"train_cfg.max_epochs=2024-01-01"},
     "command line: train_cfg.max_epochs: is text '2024-01-01', must be an integer"},
    {{"model.frozen=[a,b]"},
     "command line: model.frozen: '[a,b]' is no TOML: value: could not determine value "
     "type; text stands in quotes"},
    {{"model.frozen={a=1"},
     "command line: model.frozen: '{a=1' is no TOML: inline table: expected key or "
     "closing '}', saw '\\n'"},
    {{"model.type=\xff"},
     "command line: model.type: '\xff' is no TOML: Encountered invalid utf-8 sequence"},
    {{"model.\xff=1"},
     "command line: 'model.\xff=1' is no change; write KEY=VALUE, as in "
     "optim_wrapper.optimizer.lr=0.1"},
    {{"param_scheduler.1.gamma=1"},
     "command line: param_scheduler.1: param_scheduler is an array, its elements are 0 "
     "to 0"},
    {{"param_scheduler.x.gamma=1"},
     "command line: param_scheduler.x: param_scheduler is an array, its elements are 0 "
     "to 0"},
    {{"param_scheduler.-1.gamma=1"},
     "command line: param_scheduler.-1: param_scheduler is an array, its elements are "
     "0 to 0"},
    {{"param_scheduler.00000000000000000000000001=1"},
     "command line: param_scheduler.00000000000000000000000001: param_scheduler is an "
     "array, its elements are 0 to 0"},
    {{"param_scheduler=[]", "param_scheduler.0=1"},
     "command line: param_scheduler.0: param_scheduler is an empty array"},
    {{"param_scheduler.0=1"}, "command line: param_scheduler.0: is 1, must be a table"},
    {{"param_scheduler.0.gama=1"},
     "command line: param_scheduler.0.gama: unknown key; did you mean 'gamma'? Known: "
     "begin, gamma, milestones, type"},
    {{"model={_delete_=true,depth=3}"},
     "command line: model.type: is missing, must be text"},
    {{"model._delete_=3"}, "command line: model._delete_: must stand in a file"},
    {{"model._base_=3"}, "command line: model._base_: must stand in a file"},
    {{"train_cfg.max_epoch=3"},
     "command line: train_cfg.max_epoch: unknown key; did you mean 'max_epochs'? "
     "Known: by_epoch, max_epochs, skip"},
    {{"trian_cfg.max_epochs=3"},
     "command line: trian_cfg: unknown key; did you mean 'train_cfg'? Known: hook, "
     "model, optim_wrapper, param_scheduler, train_cfg"},
    {{"a=" + std::string(65, '[') + std::string(65, ']')},
     "command line: a: "
     "'[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[...' is too deep: "
     "more than 64 tables and arrays stand in each other"},
    {{"a" + std::string(100000, '.') + "=3"},
     "command line: 'a..............................................................' "
     "is no change; write KEY=VALUE, as in optim_wrapper.optimizer.lr=0.1"},
    {{"hook=on"}, "command line: hook: is text 'on', must be a table"},
};

TEST(BrokenChangesTest, OneLineSaysWhichKeyAndWhat) {
  const Folder folder;
  write("a.toml",
        "model.type = 'mlp'\n"
        "[optim_wrapper.optimizer]\n"
        "lr = 0.1\n"
        "[[param_scheduler]]\n"
        "type = 'a'\n"
        "begin = 0\n"
        "gamma = 1\n");
  EXPECT_EQ(refusal("a.toml"), "");
  for (const auto& [changes, line] : kBroken)
    EXPECT_EQ(refusal("a.toml", changes), line) << changes.back();
}

}  // namespace
}  // namespace lockstep::config
