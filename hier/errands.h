// A thread that does one thing after another, in the order in which it was asked: the
// collectives of a group, which are the same on all ranks. While it waits for a cable
// the rank's own thread computes.
//
// After the first that fails the others fail alike: ranks no longer stand at the same.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace lockstep::hier {

class Errands {
 public:
  Errands();
  ~Errands();  // after leave()
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;

  // `done` follows `work`, on the thread, with what that threw, or null.
  void add(std::function<void()> work, std::function<void(std::exception_ptr)> done);

  // Returns when the one under way has ended; those that have not begun fail.
  void leave();

 private:
  struct Errand {
    std::function<void()> work;
    std::function<void(std::exception_ptr)> done;
  };

  void run();

  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Errand> waiting_;
  bool left_ = false;
  std::thread thread_;
};

}  // namespace lockstep::hier
