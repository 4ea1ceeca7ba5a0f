#include "files/memory_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace lockstep::files {

MemoryFile::MemoryFile() : fd_(memfd_create("lockstep-file", MFD_CLOEXEC)) {
  if (fd_ < 0) {
    throw std::runtime_error(std::string("cannot make a file in memory: ") +
                             std::strerror(errno));
  }
}

MemoryFile::MemoryFile(MemoryFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

MemoryFile::~MemoryFile() {
  if (fd_ >= 0) close(fd_);
}

std::string MemoryFile::path() const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_);
}

std::string MemoryFile::text() const {
  std::ostringstream text;
  text << std::ifstream(path(), std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace lockstep::files
