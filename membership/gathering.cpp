#include "membership/gathering.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "host/this_host.h"
#include "launch/listener.h"

namespace lockstep::membership {
namespace {

using launch::Fd;
using Clock = std::chrono::steady_clock;

// Member 0, whose time is up at about the same moment, knows who is missing.
constexpr std::chrono::seconds kFirstToSpeak{2};

// Strangers that may wait for their turn at a time.
constexpr size_t kUnknown = 256;

std::string random_token() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("no randomness");
  }
  std::string token;
  for (const unsigned char byte : bytes) {
    token += "0123456789abcdef"[byte >> 4];
    token += "0123456789abcdef"[byte & 15];
  }
  return token;
}

struct Address {
  sockaddr_storage bytes{};
  socklen_t length = sizeof(bytes);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&bytes); }
};

Address resolve(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) throw std::runtime_error(host + ": " + gai_strerror(error));
  Address address;
  std::memcpy(&address.bytes, found->ai_addr, found->ai_addrlen);
  address.length = found->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return static_cast<int>(std::max<int64_t>(0, left.count()));
}

Fd connect_to(const std::string& host, const std::string& port,
              Clock::time_point deadline) {
  Address address = resolve(host, port);
  Fd fd(socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int error = fd.get() < 0 ? errno : 0;
  if (error == 0 && connect(fd.get(), address.get(), address.length) != 0) {
    error = errno;
    pollfd event{fd.get(), POLLOUT, 0};
    if (error == EINPROGRESS) {
      socklen_t length = sizeof(error);
      if (poll(&event, 1, milliseconds_until(deadline)) <= 0) {
        error = ETIMEDOUT;
      } else {
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
      }
    }
  }
  if (error == 0) return fd;
  throw std::runtime_error("cannot reach it at " + host + ": " + std::strerror(error));
}

// Member 0's side: the others, as they come.
class Host {
 public:
  explicit Host(const WatchOptions& options)
      : options_(options),
        token_(random_token()),
        listener_(options.address),
        came_(static_cast<size_t>(options.count)) {
    // Who knocked may have gone before it is let in.
    fcntl(listener_.fd(), F_SETFL, O_NONBLOCK);
  }

  std::string invitation() const {
    return token_ + " " + options_.address + " " + std::to_string(listener_.port());
  }

  std::vector<Peer> await_all(Clock::time_point deadline) {
    for (int left = options_.count - 1; left > 0;) {
      if (Clock::now() >= deadline) give_up();
      std::vector<pollfd> events = {{listener_.fd(), POLLIN, 0}};
      for (const LineSocket& one : unknown_) events.push_back({one.fd(), POLLIN, 0});
      poll(events.data(), events.size(), milliseconds_until(deadline));
      Fd fresh(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
      if (fresh.get() >= 0) unknown_.emplace_back(std::move(fresh));
      if (unknown_.size() > kUnknown) unknown_.erase(unknown_.begin());
      for (LineSocket& one : unknown_) left -= recognise(one) ? 1 : 0;
      std::erase_if(unknown_, [](const LineSocket& one) { return !one.connected(); });
    }
    came_.erase(came_.begin());  // this one
    for (Peer& peer : came_) peer.socket.send("welcome " + host::this_process());
    return std::move(came_);
  }

 private:
  // By the first line that it sends; a stranger's is closed.
  bool recognise(LineSocket& one) {
    std::vector<std::string> lines = one.receive();
    if (lines.empty()) return false;
    std::istringstream words(lines.front());
    std::string hello, token;
    int index = 0;
    words >> hello >> token >> index;
    if (words.fail() || hello != "hello" || token != token_ || index < 1 ||
        index >= options_.count) {
      one.close();
      return false;
    }
    Peer& peer = came_[static_cast<size_t>(index)];
    const bool first = !peer.socket.connected();
    peer.index = index;
    peer.unread.assign(lines.begin() + 1, lines.end());
    std::getline(words >> std::ws, peer.where);
    peer.socket = std::move(one);
    return first;
  }

  [[noreturn]] void give_up() {
    std::vector<int> missing;
    for (int i = 1; i < options_.count; ++i) {
      if (!came_[static_cast<size_t>(i)].socket.connected()) missing.push_back(i);
    }
    const std::string why = list_of(options_.kind, missing) + " of " +
                            std::to_string(options_.count) +
                            " did not come to the watch at " + options_.address;
    for (Peer& peer : came_) peer.socket.send("refused " + why);
    throw std::runtime_error(why);
  }

  const WatchOptions& options_;
  const std::string token_;
  const launch::Listener listener_;
  std::vector<Peer> came_;
  std::vector<LineSocket> unknown_;
};

Peer join(const WatchOptions& options, const std::string& invitation,
          Clock::time_point deadline) {
  std::istringstream words(invitation);
  std::string token, host, port;
  words >> token >> host >> port;
  Peer first;
  first.socket = LineSocket(connect_to(host, port, deadline));
  first.socket.send("hello " + token + " " + std::to_string(options.index) + " " +
                    host::this_process());
  pollfd event{first.socket.fd(), POLLIN, 0};
  poll(&event, 1, milliseconds_until(deadline + kFirstToSpeak));
  std::vector<std::string> lines = first.socket.receive();
  const std::string answer = lines.empty() ? "" : lines.front();
  if (answer.rfind("welcome ", 0) == 0) {
    first.where = answer.substr(std::strlen("welcome "));
    first.unread.assign(lines.begin() + 1, lines.end());
    return first;
  }
  if (answer.rfind("refused ", 0) == 0) {
    throw std::runtime_error(answer.substr(std::strlen("refused ")));
  }
  throw std::runtime_error(first.socket.connected() ? "it waits for others, in vain"
                                                    : "it has gone");
}

}  // namespace

std::string list_of(const std::string& kind, const std::vector<int>& indices) {
  std::string list = kind;
  for (const int index : indices) {
    list += (index == indices.front() ? " " : ", ") + std::to_string(index);
  }
  return list;
}

std::vector<Peer> gather(c10d::Store& store, const WatchOptions& options) {
  if (options.count == 1) return {};
  const auto deadline = Clock::now() + options.timeout;
  if (options.index == 0) {
    Host host(options);
    store.set(options.key, host.invitation());
    auto peers = host.await_all(deadline);
    store.deleteKey(options.key);  // for another watch
    return peers;
  }
  std::vector<Peer> peers;
  try {
    const std::vector<uint8_t> bytes = store.get(options.key);
    peers.push_back(join(options, {bytes.begin(), bytes.end()}, deadline));
  } catch (const std::runtime_error& error) {
    const std::string me = options.kind + " " + std::to_string(options.index);
    throw std::runtime_error(me + " came to the watch of " + options.kind +
                             " 0: " + error.what());
  }
  return peers;
}

}  // namespace lockstep::membership
