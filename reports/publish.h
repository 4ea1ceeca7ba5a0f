// What `report` does to files and processes: it draws in a folder of its own beside the
// result and moves each file into place when it is whole, so a reader sees the old one
// or the new one.
//
// Not here: what is in the files.
#pragma once

#include <signal.h>

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::reports {

// A folder inside `parent`, gone with everything in it when this goes. The signals that
// ask a program to end (ctrl-C) wait until then; the programs of run_program() get them
// at once.
class ScratchFolder {
 public:
  // Throws std::runtime_error where `parent` cannot be made or written.
  explicit ScratchFolder(const std::filesystem::path& parent);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  sigset_t signals_before_;
};

// Both throw std::runtime_error naming the path.
std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& text);

// Moves a whole file over `to`, in one step. Both must be in one file system.
void move_into_place(const std::filesystem::path& from,
                     const std::filesystem::path& to);

struct Finished {
  int status = 0;      // exit status; 128 + the signal's number where one ended it
  std::string errors;  // what it wrote to standard error
};

// Runs a program (command[0] is its path) to its end, without a shell, with standard
// error kept in a file of `scratch`. Throws std::runtime_error when it cannot be
// started.
Finished run_program(const std::vector<std::string>& command,
                     const std::filesystem::path& scratch);

}  // namespace lockstep::reports
