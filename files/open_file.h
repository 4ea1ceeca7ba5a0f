// A file or folder that is open for as long as its scope lasts, and names for new ones.
// Errors stand in errno, for the caller knows what the user asked for.
#pragma once

#include <string>
#include <string_view>

namespace lockstep::files {

class OpenFile {
 public:
  // `flags` are open(2)'s.
  OpenFile(const std::string& path, int flags);
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile();  // errno stays what it was

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // All of them, or false.
  bool write(std::string_view bytes) const;

 private:
  int fd_;
};

// Sixteen digits that nobody could have known before.
std::string random_digits();

}  // namespace lockstep::files
