// What is wrong with a configuration, where: "a.toml:3: optimizer.lr: -1 must be 0 or
// more". Not for what fails later, when the run it describes is at work.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace lockstep::config {

// Always one line: control characters (of a key, of a path) become question marks.
struct Error : std::invalid_argument {
  explicit Error(const std::string& message);
};

struct File {
  std::string name;  // "a.toml", as somebody asked for it, or "command line"
  int order = 0;     // as they were read; the command line is last
};

// Where a value was written. The column is for putting places in order only.
struct Place {
  std::shared_ptr<const File> file;  // null: nowhere
  uint32_t line = 0;                 // from 1; 0: the file has none
  uint32_t column = 0;

  std::string text() const;  // "a.toml:3", "command line", or nothing
};

bool operator<(const Place& a, const Place& b);

// `path` of a table and a key of it: "optimizer.lr", odd keys in quotes.
std::string join(const std::string& path, const std::string& key);

// In quotes, and cut where it is long: for messages.
std::string quoted(const std::string& text);

// "PLACE: PATH: WHAT", without what is empty.
[[noreturn]] void fail_at(const Place& place, const std::string& path,
                          const std::string& what);

}  // namespace lockstep::config
