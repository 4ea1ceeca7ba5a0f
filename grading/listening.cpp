#include "grading/listening.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace lockstep::grading {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostPrinted = 256 << 10;  // bytes

}  // namespace

Listening::Listening() {
  std::array<int, 2> ends{};
  for (auto [read_end, write_end] : {std::pair(&told_, &tell_), {&prints_, &print_}}) {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("no pipe for the checks; close some programs");
    }
    *read_end = launch::Fd(ends[0]);
    *write_end = launch::Fd(ends[1]);
  }
  fcntl(prints_.get(), F_SETFL, O_NONBLOCK);
}

std::optional<std::string> Listening::next(std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (true) {
    const size_t newline = lines_.find('\n');
    if (newline != std::string::npos) {
      std::string line = lines_.substr(0, newline);
      lines_.erase(0, newline + 1);
      return line;
    }
    if (end_ != End::none) return std::nullopt;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      end_ = End::late;
      continue;
    }
    std::array<pollfd, 3> events = {pollfd{told_.get(), POLLIN, 0},
                                    pollfd{prints_.get(), POLLIN, 0},
                                    pollfd{pidfd_, POLLIN, 0}};
    if (poll(events.data(), events.size(), static_cast<int>(left.count())) <= 0) {
      continue;
    }
    if (events[1].revents != 0) take_printed();
    if (events[0].revents != 0) {
      take_told();
    } else if (events[2].revents != 0) {
      end_ = End::closed;
    }
  }
}

void Listening::take_told() {
  std::array<char, 4096> buffer;
  const ssize_t count = read(told_.get(), buffer.data(), buffer.size());
  if (count <= 0) {
    end_ = End::closed;
  } else {
    lines_.append(buffer.data(), static_cast<size_t>(count));
  }
}

// 0: there is nothing more now.
size_t Listening::take_printed() {
  std::array<char, 65536> buffer;
  const ssize_t count = read(prints_.get(), buffer.data(), buffer.size());
  if (count <= 0) return 0;
  const auto came = static_cast<size_t>(count);
  const size_t kept = std::min(came, kMostPrinted - printed_.size());
  printed_.append(buffer.data(), kept);
  left_out_ += came - kept;
  return came;
}

std::string Listening::printed() {
  while (take_printed() > 0) {
  }
  if (left_out_ == 0) return printed_;
  return printed_ + "\n(" + std::to_string(left_out_) + " bytes more are not kept)\n";
}

}  // namespace lockstep::grading
