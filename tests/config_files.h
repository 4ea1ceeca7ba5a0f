// Configuration files of a test in a folder of their own, and a reader of them as a
// program would have one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "config/config.h"
#include "tests/test_folder.h"

namespace lockstep::config {

// The working folder while it lives, so that messages name files without folders.
class Folder {
 public:
  Folder() { std::filesystem::current_path(folder_.path()); }
  ~Folder() { std::filesystem::current_path(before_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

 private:
  const std::filesystem::path before_ = std::filesystem::current_path();
  const TestFolder folder_;
};

inline void write(const std::string& path, const std::string& text) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder);
  // Anew: to write over a file waits for the disk.
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << text;
}

inline void read_as_a_program_would(const Section& top) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Section model = top.section("model");
  model.required_text("type");
  model.integer("depth", 18, 1, 1000);
  model.texts("frozen");
  const Section optimizer = top.section("optim_wrapper").section("optimizer");
  optimizer.word("type", "SGD", {"SGD", "Adam", "AdamW"});
  optimizer.number("lr", 0.1, 0, kInfinity);
  optimizer.number("momentum", 0, 0, 1);
  optimizer.numbers("betas", 0, 1);
  const Section train = top.section("train_cfg");
  train.boolean("by_epoch", true);
  train.integer("max_epochs", 1, 1, kMost);
  train.integer("skip", 0, std::numeric_limits<int64_t>::min(), 7);
  for (const Section& scheduler : top.sections("param_scheduler")) {
    scheduler.required_text("type");
    scheduler.required_number("gamma", 0, 1);
    scheduler.required_integer("begin", 0, kMost);
    scheduler.integers("milestones", 1, kMost);
  }
  if (!top.is_false("hook")) top.section("hook").text("name", "logger");
  top.finish();
}

// The error's line, or nothing.
inline std::string refusal(const std::string& path,
                           const std::vector<std::string>& changes = {}) {
  try {
    read_as_a_program_would(load(path, changes));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace lockstep::config
