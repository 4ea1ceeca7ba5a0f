// Files that a run leaves: each appears whole or not at all, under a name that nobody
// could have put something at before, and whatever became of the others.
//
// Not here: what is in them (training/report.h, rows/row.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace lockstep::files {

// What stands at `path` is replaced in one step; a link stays a link, a pipe or device
// is written to as it is. Throws std::runtime_error naming the path.
void write_whole(const std::string& text, const std::string& path);

// Calls every one of them, then throws what went wrong, if anything: one
// std::runtime_error of one line.
void write_all(const std::vector<std::function<void()>>& outputs);

struct Output {
  std::string option;  // "--trace"
  std::string path;
};

// Before training. That a file can be written there: throws std::runtime_error.
void check_writable(const std::string& path, const std::string& option);
// That a folder can be made there, or is there: throws std::runtime_error. Makes none.
void check_folder(const std::string& path);
// That no two are one file, of which one would be lost: throws std::invalid_argument.
// A device or pipe takes any number.
void check_apart(const std::vector<Output>& outputs);

}  // namespace lockstep::files
