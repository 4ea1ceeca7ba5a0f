// A file that lies in memory and has no name in any folder: for what other programs
// write and this one reads, so that nothing is left whatever ends this one.
#pragma once

#include <string>

namespace lockstep::files {

class MemoryFile {
 public:
  // Throws std::runtime_error where there are no more descriptors.
  MemoryFile();
  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile();

  // Where any process of this user opens it, by this process's number: it need not be
  // a child, nor inherit anything.
  std::string path() const;
  // What was written so far.
  std::string text() const;

 private:
  int fd_ = -1;
};

}  // namespace lockstep::files
