// A folder for files of a moment, under a name that nobody knows before.
#pragma once

#include <string>

namespace lockstep::files {

// Where the system has such folders: $TMPDIR, or /tmp. `needed_by` is the option that
// asks for one: "--trace". Throws std::runtime_error where there is no such place.
std::string temporary_place(const std::string& needed_by);

// Gone with the scope, and all that is in it. A kill -9 leaves it: make it late.
class TemporaryFolder {
 public:
  TemporaryFolder(const std::string& place, const std::string& needed_by);
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace lockstep::files
