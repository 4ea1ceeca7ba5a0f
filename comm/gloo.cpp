#include "comm/gloo.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
// Debian's gloo headers serve this include alone: the library behind it is the one
// inside LibTorch, so nothing here names a gloo:: type.
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "comm/sigpipe_blocked.h"

namespace lockstep::comm {
namespace {

// LibTorch keeps a log of every collective, one for the process, and groups on several
// threads (ranks that are threads) write its maps side by side: a crash now and then.
// It is off unless the user asks for it.
void switch_off_flight_recorder() {
  static const bool done = setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/0) == 0;
  (void)done;
}

// Gloo's errors name a socket's number, not a rank. So every rank listens, connects to
// every other and says nothing. Nobody accepts or reads: a connection that breaks is
// its rank's end, which the kernel tells whatever that rank died of.
class Lifelines final : public PeerWatch {
 public:
  Lifelines(c10d::Store& store, int rank, int world_size, const std::string& address)
      : sockets_(static_cast<size_t>(world_size), -1) {
    if (world_size == 1) return;
    const auto key = [](int of) { return "lockstep/lifeline/" + std::to_string(of); };
    sockaddr_storage mine{};
    socklen_t length = 0;
    sockets_[static_cast<size_t>(rank)] = listen_at(address, mine, length);
    const auto* bytes = reinterpret_cast<const uint8_t*>(&mine);
    store.set(key(rank), std::vector<uint8_t>(bytes, bytes + length));
    for (int peer = 0; peer < world_size; ++peer) {
      if (peer == rank) continue;
      const std::vector<uint8_t> theirs = store.get(key(peer));
      const int fd = socket(mine.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockets_[static_cast<size_t>(peer)] = fd;
      if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(theirs.data()),
                            static_cast<socklen_t>(theirs.size())) != 0) {
        const std::string why = std::strerror(errno);
        close_all();
        throw std::runtime_error("rank " + std::to_string(rank) +
                                 " cannot reach rank " + std::to_string(peer) +
                                 " from " + address + ": " + why);
      }
    }
    rank_ = rank;
  }
  ~Lifelines() override { close_all(); }
  Lifelines(const Lifelines&) = delete;
  Lifelines& operator=(const Lifelines&) = delete;

  std::vector<int> gone() const override {
    // A dying process closes one socket after the other, gloo's perhaps first.
    constexpr int kNewsMs = 1000;
    std::vector<pollfd> events;
    for (const int fd : sockets_) events.push_back({fd, POLLIN, 0});
    if (rank_ >= 0) events[static_cast<size_t>(rank_)].fd = -1;
    std::vector<int> ranks;
    if (poll(events.data(), events.size(), kNewsMs) <= 0) return ranks;
    for (size_t peer = 0; peer < events.size(); ++peer) {
      if (events[peer].revents != 0) ranks.push_back(static_cast<int>(peer));
    }
    return ranks;
  }

 private:
  static int listen_at(const std::string& address, sockaddr_storage& mine,
                       socklen_t& length) {
    addrinfo* found = nullptr;
    if (getaddrinfo(address.c_str(), nullptr, nullptr, &found) != 0) {
      throw std::runtime_error("no address " + address + " to listen at");
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    length = sizeof(mine);
    const bool listens =
        fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 &&
        listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, reinterpret_cast<sockaddr*>(&mine), &length) == 0;
    freeaddrinfo(found);
    if (listens) return fd;
    const std::string why = std::strerror(errno);
    if (fd >= 0) close(fd);
    throw std::runtime_error("cannot listen at " + address + ": " + why);
  }

  void close_all() {
    for (const int fd : sockets_) {
      if (fd >= 0) close(fd);
    }
  }

  std::vector<int> sockets_;  // [peer]: to it; [rank]: the one that listens
  int rank_ = -1;
};

}  // namespace

std::shared_ptr<ProcessGroup> make_gloo(const c10::intrusive_ptr<c10d::Store>& store,
                                        int rank, int world_size,
                                        const std::string& interface_address,
                                        std::chrono::milliseconds timeout) {
  switch_off_flight_recorder();
  const SigpipeBlocked sigpipe_blocked;
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  const char* interface_name = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(
      interface_name != nullptr && *interface_name != '\0'
          ? c10d::ProcessGroupGloo::createDeviceForInterface(interface_name)
          : c10d::ProcessGroupGloo::createDeviceForHostname(interface_address));
  auto watch =
      std::make_shared<const Lifelines>(*store, rank, world_size, interface_address);
  return std::make_shared<ProcessGroup>(
      c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, world_size, options),
      at::kCPU, std::move(watch));
}

}  // namespace lockstep::comm
