#include "membership/line_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace lockstep::membership {
namespace {

// Ours are far shorter: who sends a longer one is a stranger.
constexpr size_t kLongestLine = size_t{1} << 16;

}  // namespace

LineSocket::LineSocket(launch::Fd connected) : fd_(std::move(connected)) {
  const int at_once = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
}

void LineSocket::send(const std::string& line) {
  if (!connected()) return;
  unsent_ += line + "\n";
  flush();
}

// A connection that broke is noticed where it is read.
void LineSocket::flush() {
  while (connected() && !unsent_.empty()) {
    const ssize_t sent =
        ::send(fd(), unsent_.data(), unsent_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (sent < 0) return unsent_.clear();
    unsent_.erase(0, static_cast<size_t>(sent));
  }
}

std::vector<std::string> LineSocket::receive() {
  std::vector<std::string> lines;
  std::array<char, 4096> bytes{};
  while (connected()) {
    const ssize_t got = recv(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {
      close();
      break;
    }
    unread_.append(bytes.data(), static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end = 0; (end = unread_.find('\n', begin)) != std::string::npos;) {
      lines.push_back(unread_.substr(begin, end - begin));
      begin = end + 1;
    }
    unread_.erase(0, begin);
    if (unread_.size() > kLongestLine) close();
  }
  return lines;
}

}  // namespace lockstep::membership
