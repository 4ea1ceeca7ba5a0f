#include "files/line_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace lockstep::files {

LineFile::~LineFile() {
  if (file_ >= 0) close(file_);
}

void LineFile::append(const std::string& line) {
  const std::string whole = line + "\n";
  if (file_ < 0) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path(),
                                        error);  // open() says what is wrong
    file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }
  // One call: two runs' lines do not mix.
  const ssize_t written = file_ < 0 ? -1 : write(file_, whole.data(), whole.size());
  if (written == static_cast<ssize_t>(whole.size())) return;
  throw std::runtime_error("cannot write " + path_ + ": " +
                           (written < 0 ? std::strerror(errno) : "the disk is full"));
}

}  // namespace lockstep::files
