#include "files/open_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <random>

namespace lockstep::files {

OpenFile::OpenFile(const std::string& path, int flags)
    : fd_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {}

OpenFile::~OpenFile() {
  const int reason = errno;
  if (is_open()) close(fd_);
  errno = reason;
}

bool OpenFile::write(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return true;
}

std::string random_digits() {
  std::random_device random;
  char digits[20];
  std::snprintf(digits, sizeof(digits), "%08x%08x", random(), random());
  return digits;
}

}  // namespace lockstep::files
