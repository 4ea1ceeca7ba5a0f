#include "data_parallel/card_threads.h"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>
#include <c10/util/Exception.h>
#include <pthread.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace lockstep::data_parallel {

// One thread with one job at a time.
class CardThreads::Worker {
 public:
  explicit Worker(const Card& card) : thread_([this, card] { serve(card); }) {
    pthread_setname_np(thread_.native_handle(),
                       ("card " + std::to_string(card.index())).c_str());
  }

  ~Worker() {
    give({});  // an empty job means: leave
    thread_.join();
  }

  void give(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    job_ = std::move(job);
    given_ = true;
    changed_.notify_all();
  }

  // The error of the job that was given last, if it had one.
  std::exception_ptr wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !given_; });
    return std::exchange(error_, nullptr);
  }

 private:
  void serve(const Card& card) {
    const CardScope scope(card);
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return given_; });
      if (!job_) return;
      lock.unlock();
      std::exception_ptr error;
      try {
        job_();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      job_ = nullptr;  // what it captured is freed before anybody is told it ended
      error_ = error;
      given_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> job_;
  bool given_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the members above
};

namespace {

[[noreturn]] void rethrow_naming(const Card& card, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const c10::Error& torch_error) {
    TORCH_CHECK(false, "replica on ", card.name(), ": ",
                torch_error.what_without_backtrace());
  } catch (const std::exception& other) {
    throw std::runtime_error("replica on " + card.name() + ": " + other.what());
  }
}

}  // namespace

CardThreads::CardThreads(const std::vector<Card>& cards) : cards_(cards) {
  for (size_t i = 1; i < cards_.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>(cards_[i]));
  }
}

CardThreads::~CardThreads() = default;

void CardThreads::run(size_t count, const std::function<void(size_t)>& work) {
  const at::ThreadLocalState state;
  const auto on_card = [&](size_t card) {
    const at::ThreadLocalStateGuard guard(state);
    const device::CategoryScope category(device::Category::activations);
    work(card);
  };
  for (size_t card = 1; card < count; ++card) {
    workers_[card - 1]->give([&on_card, card] { on_card(card); });
  }
  std::vector<std::exception_ptr> errors(count);
  try {
    on_card(0);
  } catch (...) {
    errors[0] = std::current_exception();
  }
  for (size_t card = 1; card < count; ++card) errors[card] = workers_[card - 1]->wait();
  for (size_t card = 0; card < count; ++card) {
    if (errors[card]) rethrow_naming(cards_[card], errors[card]);
  }
}

}  // namespace lockstep::data_parallel
