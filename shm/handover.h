// How rank 0 hands open files over to the other ranks of its host: by a socket that has
// no name in any folder and lets in only the same user's processes that know a token.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::shm {

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// What a rank says first.
struct Hello {
  std::array<unsigned char, 16> token;
  int rank;
};

using Deadline = std::chrono::steady_clock::time_point;

// Throws std::runtime_error: what could not be done, errno's reason, and what to do.
[[noreturn]] void fail(const std::string& what,
                       const std::string& way_out = "try --backend gloo");

bool wait_readable(int fd, Deadline deadline);

// A socket at an abstract address of the kernel's choice, which is told.
Descriptor listen_somewhere(sockaddr_un& address, socklen_t& length);

// Rank 0: the connections of all others, in the order of ranks. Strangers are sent
// away. Throws naming who did not come in time.
std::vector<Descriptor> await_ranks(int listener, const Hello& mine, int world_size,
                                    Deadline deadline);

void send_fds(int socket_fd, const std::vector<int>& fds, size_t rank);
// The caller closes them.
std::vector<int> receive_fds(int socket_fd, size_t count);

}  // namespace lockstep::shm
