// A file that grows by whole lines while the run goes on, so that somebody can look at
// it: what a killed run leaves ends with a whole line.
#pragma once

#include <string>

namespace lockstep::files {

class LineFile {
 public:
  // Opened at the first line; what is there stays, and the lines go behind it.
  explicit LineFile(std::string path) : path_(std::move(path)) {}
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  // Throws std::runtime_error naming the file.
  void append(const std::string& line);

 private:
  std::string path_;
  int file_ = -1;
};

}  // namespace lockstep::files
