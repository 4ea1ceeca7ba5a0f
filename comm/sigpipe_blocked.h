// Keeps SIGPIPE from threads that LibTorch starts. gloo writes to a peer
// (gloo/transport/tcp/pair.cc), and the store's daemon answers a client (libuv), by
// calls that raise the signal where the other side has gone: a rank would die of it
// without a word. Python ignores it in the whole process; a program of ours still ends
// quietly when the reader of its output does.
#pragma once

#include <pthread.h>
#include <signal.h>
#include <time.h>

namespace lockstep::comm {

class SigpipeBlocked {
 public:
  // Blocks it in the calling thread, whose threads inherit that and keep it: a write to
  // who has gone returns EPIPE there.
  SigpipeBlocked() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  }
  // A write of the calling thread's own may have raised it: taken here, or it would end
  // the program as soon as it is let through.
  ~SigpipeBlocked() {
    constexpr timespec kAtOnce{};
    if (sigismember(&before_, SIGPIPE) == 0) {
      sigtimedwait(&sigpipe_, nullptr, &kAtOnce);
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t sigpipe_;
  sigset_t before_;
};

}  // namespace lockstep::comm
