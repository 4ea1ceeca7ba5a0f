#include "comm/rendezvous.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <future>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "comm/roll_call.h"
#include "comm/sigpipe_blocked.h"

namespace lockstep::comm {
namespace {

using StorePtr = c10::intrusive_ptr<c10d::Store>;

// Beyond LibTorch's own timeout, after which it tries once more.
constexpr std::chrono::seconds kMargin{5};

// Asked before, since LibTorch would try for minutes.
void check_writable(const std::string& file) {
  const std::string folder = std::filesystem::path(file).parent_path().string();
  const bool there = access(file.c_str(), F_OK) == 0;
  if (access((there ? file : folder).c_str(), W_OK) == 0) return;
  throw std::runtime_error("--init-method file://" + file +
                           " cannot be written: " + std::strerror(errno) +
                           "; give a path that every rank may write");
}

StorePtr meet_in_file(const Meeting& meeting) {
  check_writable(meeting.file);
  auto store = c10::make_intrusive<c10d::FileStore>(meeting.file, meeting.world_size);
  store->setTimeout(meeting.timeout);
  return store;
}

// LibTorch's file store counts in two steps who is done with the file, and where two
// ranks leave at once neither may find itself the last: the file stays. One at a time.
// And ranks that never came do not leave: then the first that gives up removes it, or
// the next job would take it for its own.
class FileLeaver final : public c10d::PrefixStore {
 public:
  FileLeaver(const std::string& prefix, StorePtr store, const std::string& file)
      : PrefixStore(prefix, std::move(store)),
        file_(file),
        folder_(std::filesystem::path(file).parent_path().string()) {}
  void give_up() { given_up_ = true; }
  ~FileLeaver() override {
    const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) flock(folder, LOCK_EX);
    store_.reset();
    if (given_up_) unlink(file_.c_str());
    if (folder >= 0) close(folder);
  }

 private:
  std::string file_, folder_;
  bool given_up_ = false;
};

// LibTorch asks the store whether it is one, and no timeout ends the wait for the
// answer: not of a port that somebody else listens on, nor of a rank 0 that was stopped
// before it served. So on a thread of its own, which is left behind if need be.
StorePtr connect(const std::string& host, const c10d::TCPStoreOptions& options) {
  std::packaged_task<StorePtr()> task([host, options] {
    return StorePtr(c10::make_intrusive<c10d::TCPStore>(host, options));
  });
  std::future<StorePtr> store = task.get_future();
  std::thread asking(std::move(task));
  if (store.wait_for(options.timeout + kMargin) != std::future_status::ready) {
    asking.detach();
    TORCH_CHECK(false, "somebody listens there, and does not answer");
  }
  asking.join();
  return store.get();
}

}  // namespace

StorePtr open_store(const Meeting& meeting) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(meeting.port);
  options.isServer = meeting.rank == 0 && meeting.host_store;
  options.numWorkers = static_cast<size_t>(meeting.world_size);
  options.waitWorkers = false;  // it would not say for whom
  options.timeout = meeting.timeout;
  if (options.isServer) {
    if (meeting.listen_fd < 0) {
      throw std::invalid_argument(
          "rank 0 hosts the store and needs a listening socket");
    }
    options.masterListenFd = meeting.listen_fd;
  }
  const SigpipeBlocked sigpipe_blocked;
  try {
    return connect(meeting.host, options);
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw std::runtime_error(
        meeting.kind + " " + std::to_string(meeting.rank) + " of " +
        std::to_string(meeting.world_size) + " met nobody at " + meeting.host + ":" +
        std::to_string(meeting.port) + "; are all " + meeting.kind + "s started? (" +
        text.substr(0, text.find('\n')) + ")");
  }
}

StorePtr meet(const Meeting& meeting) {
  // A launcher's store holds keys of its own, and of attempts that failed.
  const std::string of_kind = meeting.kind == "rank" ? "" : meeting.kind + "/";
  const std::string prefix =
      "lockstep/" + of_kind + "attempt_" + std::to_string(meeting.attempt);
  if (meeting.file.empty()) {
    const StorePtr store = c10::make_intrusive<c10d::PrefixStore>(
        prefix, meeting.store != nullptr ? meeting.store : open_store(meeting));
    await_all(*store, meeting);
    return store;
  }
  const auto store =
      c10::make_intrusive<FileLeaver>(prefix, meet_in_file(meeting), meeting.file);
  try {
    await_all(*store, meeting);
  } catch (const NotAllCame&) {
    store->give_up();
    throw;
  }
  return store;
}

}  // namespace lockstep::comm
