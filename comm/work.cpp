// A collective that was started, and the words in which it fails.
#include <chrono>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "comm/lost_peer.h"
#include "comm/process_group.h"

namespace lockstep::comm {
namespace {

// LibTorch's messages run over many lines (a stack of calls); ours are one.
std::string first_line(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text =
      torch_error ? torch_error->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

// A dying process closes one socket after the other, the collective's perhaps first.
constexpr std::chrono::milliseconds kNews{1000};

}  // namespace

CommError lost_peer(const std::string& what, const char* how,
                    const std::string& otherwise, const PeerWatchPtr& watch,
                    const std::exception& error) {
  std::string who;
  if (watch) {
    watch->ends_badly();
    who = watch->lost(kNews);
  }
  const std::string cause = who.empty() ? otherwise : ", " + who;
  return CommError(what + how + cause + ": " + first_line(error), watch);
}

Work::Work() = default;
Work::Work(c10::intrusive_ptr<c10d::Work> work, std::string what, PeerWatchPtr watch,
           bool looks_around)
    : work_(std::move(work)),
      what_(std::move(what)),
      watch_(std::move(watch)),
      looks_around_(looks_around) {}
Work::~Work() = default;
Work::Work(Work&&) noexcept = default;
Work& Work::operator=(Work&&) noexcept = default;

void Work::wait() {
  if (!work_) return;
  try {
    if (looks_around_) {
      wait_and_look_around();
    } else {
      work_->wait();
    }
  } catch (const std::exception& error) {
    throw lost_peer(what_, " failed", ", a peer has probably gone", watch_, error);
  }
  work_.reset();
}

void Work::wait_and_look_around() {
  constexpr std::chrono::milliseconds kLookAround{250};
  while (true) {
    try {
      work_->wait(kLookAround);
      return;
    } catch (const std::exception&) {
      // Its own error, or that of the wait, which may have ended meanwhile.
      if (work_->isCompleted()) break;
      if (!watch_->lost().empty()) throw std::runtime_error("given up");
    }
  }
  work_->wait();
}

}  // namespace lockstep::comm
