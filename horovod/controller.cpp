#include "horovod/controller.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "launch/fd.h"
#include "membership/gathering.h"

namespace lockstep::horovod {
namespace {

// Requests of a hundred thousand tensors are less.
constexpr uint32_t kLongest = uint32_t{64} << 20;

}  // namespace

// Messages, each behind its length, over a connection.
class FramedSocket {
 public:
  FramedSocket(launch::Fd connected, std::string peer)
      : fd_(std::move(connected)), peer_(std::move(peer)) {}

  int fd() const { return fd_.get(); }

  void send(const std::string& bytes) {
    const auto length = static_cast<uint32_t>(bytes.size());
    std::string frame(sizeof(length), '\0');
    std::memcpy(frame.data(), &length, sizeof(length));
    frame += bytes;
    for (size_t sent = 0; sent < frame.size();) {
      const ssize_t now =
          ::send(fd(), frame.data() + sent, frame.size() - sent, MSG_NOSIGNAL);
      if (now < 0 && errno == EINTR) continue;
      if (now < 0 && errno == EAGAIN) {
        pollfd event{fd(), POLLOUT, 0};
        poll(&event, 1, /*for ever*/ -1);
        continue;
      }
      if (now < 0) broken(std::strerror(errno));
      sent += static_cast<size_t>(now);
    }
  }

  // Something has come: the messages that are whole.
  std::vector<std::string> receive() {
    std::array<char, 65536> bytes{};
    const ssize_t got = recv(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (got < 0) broken(std::strerror(errno));
    if (got == 0) broken("it has ended");
    unread_.append(bytes.data(), static_cast<size_t>(got));
    std::vector<std::string> messages;
    size_t begin = 0;
    for (uint32_t length = 0; unread_.size() - begin >= sizeof(length);) {
      std::memcpy(&length, unread_.data() + begin, sizeof(length));
      if (length > kLongest)
        broken("a message of " + std::to_string(length) + " bytes");
      if (unread_.size() - begin - sizeof(length) < length) break;
      messages.push_back(unread_.substr(begin + sizeof(length), length));
      begin += sizeof(length) + length;
    }
    unread_.erase(0, begin);
    return messages;
  }

 private:
  [[noreturn]] void broken(const std::string& why) const {
    throw std::runtime_error("the connection to " + peer_ + " broke: " + why);
  }

  launch::Fd fd_;
  std::string peer_;  // "rank 2 (pid 4711 on nodeb)"
  std::string unread_;
};

Controller::Controller(c10d::Store& store, int rank, int size,
                       const std::string& address, std::chrono::milliseconds timeout)
    : rank_(rank), size_(size), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_fd_ < 0) {
    throw std::runtime_error(std::string("no eventfd: ") + std::strerror(errno));
  }
  membership::WatchOptions meeting;
  meeting.index = rank;
  meeting.count = size;
  meeting.address = address;
  meeting.key = "horovod";
  meeting.timeout = timeout;
  for (membership::Peer& peer : membership::gather(store, meeting)) {
    ranks_.push_back(peer.index);
    // The greeting was lines; from here on it is messages.
    sockets_.push_back(std::make_unique<FramedSocket>(
        launch::Fd(dup(peer.socket.fd())),
        "rank " + std::to_string(peer.index) + " (" + peer.where + ")"));
  }
  // Nobody sends a message before everybody has had its greeting.
  if (size_ == 1) return;
  if (rank_ != 0) {
    send("here");
    return;
  }
  for (size_t i = 0; i < sockets_.size(); ++i) {
    std::vector<std::string> messages;
    while (messages.empty()) {
      pollfd event{sockets_[i]->fd(), POLLIN, 0};
      if (poll(&event, 1, static_cast<int>(timeout.count())) == 0) {
        throw std::runtime_error("rank " + std::to_string(ranks_[i]) +
                                 " came to the negotiation and says nothing");
      }
      messages = sockets_[i]->receive();
    }
    for (size_t m = 1; m < messages.size(); ++m) {
      early_.push_back({ranks_[i], std::move(messages[m])});
    }
  }
}

Controller::~Controller() { close(wake_fd_); }

void Controller::send(const std::string& bytes) {
  for (const auto& socket : sockets_) socket->send(bytes);
}

std::vector<Controller::Message> Controller::wait(
    std::optional<Clock::time_point> until) {
  if (!early_.empty()) return std::exchange(early_, {});
  std::vector<pollfd> events = {{wake_fd_, POLLIN, 0}};
  for (const auto& socket : sockets_) events.push_back({socket->fd(), POLLIN, 0});
  timespec left{};
  if (until) {
    const auto ns =
        std::max<int64_t>(0, std::chrono::nanoseconds(*until - Clock::now()).count());
    left = {ns / 1'000'000'000, ns % 1'000'000'000};
  }
  if (ppoll(events.data(), events.size(), until ? &left : nullptr, nullptr) < 0) {
    if (errno == EINTR) return {};
    throw std::runtime_error(std::string("poll: ") + std::strerror(errno));
  }
  if (events[0].revents != 0) {
    uint64_t times = 0;
    if (read(wake_fd_, &times, sizeof(times)) < 0 && errno != EAGAIN) return {};
  }
  std::vector<Message> messages;
  for (size_t i = 0; i < sockets_.size(); ++i) {
    if (events[i + 1].revents == 0) continue;
    for (std::string& bytes : sockets_[i]->receive()) {
      messages.push_back({ranks_[i], std::move(bytes)});
    }
  }
  return messages;
}

void Controller::wake() const {
  const uint64_t once = 1;
  if (write(wake_fd_, &once, sizeof(once)) < 0) return;  // it is awake already
}

}  // namespace lockstep::horovod
