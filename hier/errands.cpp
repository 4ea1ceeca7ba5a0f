#include "hier/errands.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <stdexcept>
#include <utility>

#include "comm/sigpipe_blocked.h"

namespace lockstep::hier {

Errands::Errands() {
  const comm::SigpipeBlocked sigpipe_blocked;  // gloo writes on this thread, too
  thread_ = std::thread([this] { run(); });
}

Errands::~Errands() {
  if (thread_.joinable()) leave();
}

void Errands::add(std::function<void()> work,
                  std::function<void(std::exception_ptr)> done) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(work), std::move(done)});
  }
  more_.notify_one();
}

void Errands::leave() {
  {
    const std::lock_guard lock(mutex_);
    left_ = true;
  }
  more_.notify_one();
  thread_.join();
}

void Errands::run() {
  // Get, then set: in a new thread LibTorch undoes a set that no get came before.
  at::get_num_threads();
  at::set_num_threads(1);
  const at::NoGradGuard no_grad;
  std::exception_ptr failed;
  while (true) {
    Errand errand;
    {
      std::unique_lock lock(mutex_);
      more_.wait(lock, [&] { return left_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      errand = std::move(waiting_.front());
      waiting_.pop_front();
      if (left_ && !failed) {
        failed = std::make_exception_ptr(
            std::runtime_error("the group was left before this ended"));
      }
    }
    try {
      if (!failed) errand.work();
    } catch (...) {
      failed = std::current_exception();
    }
    errand.work = nullptr;  // what it held goes before anybody goes on
    errand.done(failed);
  }
}

}  // namespace lockstep::hier
