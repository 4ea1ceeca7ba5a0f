#include "shm/handover.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace lockstep::shm {
namespace {

using Clock = std::chrono::steady_clock;

bool same_user(int socket_fd) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         peer.uid == geteuid();
}

std::string missing(const std::vector<Descriptor>& came) {
  std::string ranks;
  for (size_t rank = 1; rank < came.size(); ++rank) {
    if (came[rank].get() < 0) {
      ranks += (ranks.empty() ? " " : ", ") + std::to_string(rank);
    }
  }
  return ranks;
}

}  // namespace

void fail(const std::string& what, const std::string& way_out) {
  throw std::runtime_error("shared memory: " + what + ": " + std::strerror(errno) +
                           "; " + way_out);
}

bool wait_readable(int fd, Deadline deadline) {
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd event{fd, POLLIN, 0};
    const int ready =
        poll(&event, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0;
  }
}

Descriptor listen_somewhere(sockaddr_un& address, socklen_t& length) {
  Descriptor socket_fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  address = {};
  address.sun_family = AF_UNIX;
  length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (socket_fd.get() < 0 || bind(socket_fd.get(), generic, sizeof(sa_family_t)) != 0 ||
      getsockname(socket_fd.get(), generic, &length) != 0 ||
      listen(socket_fd.get(), SOMAXCONN) != 0) {
    fail("cannot listen for the other ranks");
  }
  return socket_fd;
}

std::vector<Descriptor> await_ranks(int listener, const Hello& mine, int world_size,
                                    Deadline deadline) {
  std::vector<Descriptor> came(static_cast<size_t>(world_size));
  for (int left = world_size - 1; left > 0;) {
    if (!wait_readable(listener, deadline)) {
      const std::string why = "shared memory: rank" + missing(came) +
                              " did not come in time; are all ranks on this host?";
      for (const Descriptor& peer : came) {
        if (peer.get() >= 0) send(peer.get(), why.data(), why.size(), MSG_NOSIGNAL);
      }
      throw std::runtime_error(why);
    }
    Descriptor peer(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    Hello hello{};
    // A stranger is sent away; whoever knows the token sends it at once.
    constexpr std::chrono::seconds kAtOnce{5};
    if (peer.get() < 0 || !same_user(peer.get()) ||
        !wait_readable(peer.get(), std::min(deadline, Clock::now() + kAtOnce)) ||
        recv(peer.get(), &hello, sizeof(hello), MSG_DONTWAIT) != sizeof(hello) ||
        hello.token != mine.token || hello.rank < 1 || hello.rank >= world_size) {
      continue;
    }
    Descriptor& place = came[static_cast<size_t>(hello.rank)];
    if (place.get() < 0) --left;
    place = std::move(peer);
  }
  return came;
}

void send_fds(int socket_fd, const std::vector<int>& fds, size_t rank) {
  char byte = 0;
  iovec data{&byte, 1};
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  if (sendmsg(socket_fd, &message, MSG_NOSIGNAL) != 1) {
    fail("cannot hand it to rank " + std::to_string(rank) + ", has it gone?");
  }
}

std::vector<int> receive_fds(int socket_fd, size_t count) {
  std::array<char, 256> text{};  // why there are none
  iovec data{text.data(), text.size()};
  std::vector<char> control(CMSG_SPACE(count * sizeof(int)));
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
  if (got > 1) throw std::runtime_error({text.data(), static_cast<size_t>(got)});
  const cmsghdr* header = got == 1 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_len != CMSG_LEN(count * sizeof(int))) {
    throw std::runtime_error("shared memory: rank 0 handed nothing over; it has gone");
  }
  std::vector<int> fds(count);
  std::memcpy(fds.data(), CMSG_DATA(header), count * sizeof(int));
  return fds;
}

}  // namespace lockstep::shm
