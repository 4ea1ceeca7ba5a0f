#include "data_parallel/card_threads.h"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>
#include <c10/util/Exception.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "device/stage.h"

namespace lockstep::data_parallel {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread looks before it sleeps: longer where cards share cores, for there
// the others get the core when it yields.
Clock::duration patience_of(const std::vector<Card>& cards) {
  const size_t threads = cards.size() * static_cast<size_t>(cards.front().threads());
  const bool shared = threads > std::thread::hardware_concurrency();
  return std::chrono::microseconds(shared ? 2000 : 300);
}

[[noreturn]] void rethrow_naming(size_t replica, const Card& card,
                                 const std::exception_ptr& error) {
  const std::string name = "replica " + std::to_string(replica) + " on " + card.name();
  try {
    std::rethrow_exception(error);
  } catch (const c10::OutOfMemoryError&) {
    throw;  // it names the card
  } catch (const c10::Error& torch_error) {
    TORCH_CHECK(false, name, ": ", torch_error.what_without_backtrace());
  } catch (const std::exception& other) {
    throw std::runtime_error(name + ": " + other.what());
  }
}

}  // namespace

// One thread with one job at a time.
class CardThreads::Worker {
 public:
  Worker(const Card& card, Clock::duration patience)
      : patience_(patience), thread_([this, card] { serve(card); }) {
    pthread_setname_np(thread_.native_handle(),
                       ("card " + std::to_string(card.index())).c_str());
  }

  ~Worker() {
    give({});  // an empty job means: leave
    thread_.join();
  }

  void give(std::function<void()> job) {
    job_ = std::move(job);
    pass(/*busy=*/true);
  }

  // The error of the job that was given last, if it had one.
  std::exception_ptr wait() {
    await(/*busy=*/false);
    return std::exchange(error_, nullptr);
  }

 private:
  void serve(const Card& card) {
    const CardScope scope(card);
    while (true) {
      await(/*busy=*/true);
      if (!job_) return;
      try {
        job_();
      } catch (...) {
        error_ = std::current_exception();
      }
      job_ = nullptr;  // what it captured is freed before anybody is told it ended
      pass(/*busy=*/false);
    }
  }

  // The job and its error belong to the worker while it is busy, else to the giver.
  void pass(bool busy) {
    busy_.store(busy);
    busy_.notify_one();
  }

  void await(bool busy) const {
    const auto since = Clock::now();
    while (busy_.load() != busy) {
      if (Clock::now() - since > patience_) return busy_.wait(!busy);
      for (int i = 0; i < 16 && busy_.load() != busy; ++i) std::this_thread::yield();
    }
  }

  const Clock::duration patience_;
  std::atomic<bool> busy_ = false;
  std::function<void()> job_;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the members above
};

CardThreads::CardThreads(const std::vector<Card>& cards) : cards_(cards) {
  for (size_t i = 1; i < cards_.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>(cards_[i], patience_of(cards_)));
  }
}

CardThreads::~CardThreads() = default;

void CardThreads::run(const char* stage, size_t count,
                      const std::function<void(size_t)>& work) {
  const at::ThreadLocalState state;
  const auto on_card = [&](size_t card) {
    const at::ThreadLocalStateGuard guard(state);
    const device::CategoryScope category(device::Category::activations);
    const device::StageScope scope(stage);
    work(card);
  };
  // Allocated before anybody works: nothing may throw between giving and waiting.
  std::vector<std::exception_ptr> errors(count);
  for (size_t card = 1; card < count; ++card) {
    workers_[card - 1]->give([&on_card, card] { on_card(card); });
  }
  try {
    on_card(0);
  } catch (...) {
    errors[0] = std::current_exception();
  }
  for (size_t card = 1; card < count; ++card) errors[card] = workers_[card - 1]->wait();
  for (size_t card = 0; card < count; ++card) {
    if (errors[card]) rethrow_naming(card, cards_[card], errors[card]);
  }
}

}  // namespace lockstep::data_parallel
