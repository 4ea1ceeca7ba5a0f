#include "bench/loopback.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "launch/fd.h"
#include "launch/listener.h"

namespace lockstep::bench {
namespace {

using Clock = std::chrono::steady_clock;
using launch::Fd;

constexpr int kRoundTrips = 2000;
constexpr size_t kMessage = 1 << 20;
constexpr size_t kMessages = 512;

void check(bool done) {
  if (!done) throw std::runtime_error(std::string("loopback: ") + std::strerror(errno));
}

void send_all(const Fd& to, const std::vector<char>& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t n =
        send(to.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    check(n > 0);
    sent += static_cast<size_t>(n);
  }
}

void receive_all(const Fd& from, std::vector<char>& bytes) {
  check(recv(from.get(), bytes.data(), bytes.size(), MSG_WAITALL) ==
        static_cast<ssize_t>(bytes.size()));
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Answers every byte, then swallows the messages and answers once.
void echo(const Fd& peer) {
  std::vector<char> byte(1), message(kMessage);
  for (int i = 0; i < kRoundTrips; ++i) {
    receive_all(peer, byte);
    send_all(peer, byte);
  }
  for (size_t i = 0; i < kMessages; ++i) receive_all(peer, message);
  send_all(peer, byte);
}

}  // namespace

Loopback measure_loopback() {
  const launch::Listener listener;
  const Fd mine(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(listener.port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(connect(mine.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) ==
        0);
  const Fd theirs(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  check(theirs.get() >= 0);
  const int at_once = 1;
  for (const Fd* end : {&mine, &theirs}) {
    setsockopt(end->get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
  }
  std::thread peer([&] {
    try {
      echo(theirs);
    } catch (const std::exception&) {
      shutdown(theirs.get(), SHUT_RDWR);  // this thread's end is the other's error
    }
  });
  Loopback loopback;
  try {
    std::vector<char> byte(1), message(kMessage);
    const auto begin = Clock::now();
    for (int i = 0; i < kRoundTrips; ++i) {
      send_all(mine, byte);
      receive_all(mine, byte);
    }
    loopback.round_trip_s = seconds_since(begin) / kRoundTrips;
    const auto stream = Clock::now();
    for (size_t i = 0; i < kMessages; ++i) send_all(mine, message);
    receive_all(mine, byte);
    loopback.bytes_per_s = kMessage * kMessages / seconds_since(stream);
  } catch (...) {
    shutdown(mine.get(), SHUT_RDWR);
    peer.join();
    throw;
  }
  peer.join();
  return loopback;
}

}  // namespace lockstep::bench
