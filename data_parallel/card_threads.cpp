#include "data_parallel/card_threads.h"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>
#include <c10/util/Exception.h>
#include <pthread.h>

#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

namespace lockstep::data_parallel {
namespace {

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
  Worker(const Card& card, const Patience& patience)
      : patience_(patience), thread_([this, card] { serve(card); }) {
    pthread_setname_np(thread_.native_handle(),
                       ("card " + std::to_string(card.index())).c_str());
  }

  ~Worker() {
    give({});  // an empty job means: leave
    thread_.join();
  }

  // A job will be given: whoever awaits its end from now on does not take the last
  // one's for it.
  void announce() { state_.store(State::announced); }

  void give(std::function<void()> job) {
    job_ = std::move(job);
    change(State::given);
  }

  // Of the job that was announced last: its end, and its error if it had one.
  const std::exception_ptr& await_end() const {
    patience_.await(state_, State::ended);
    return error_;
  }

 private:
  enum class State { announced, given, ended };

  void serve(const Card& card) {
    const CardScope scope(card);
    while (true) {
      patience_.await(state_, State::given);
      if (!job_) return;
      error_ = nullptr;
      try {
        job_();
      } catch (...) {
        error_ = std::current_exception();
      }
      job_ = nullptr;  // what it captured is freed before anybody is told it ended
      change(State::ended);
    }
  }

  void change(State state) {
    state_.store(state);
    state_.notify_all();
  }

  const Patience& patience_;
  // The job and its error belong to the worker from being given to its end.
  std::atomic<State> state_ = State::ended;
  std::function<void()> job_;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the members above
};

CardThreads::CardThreads(const std::vector<Card>& cards)
    : cards_(cards), patience_(cards) {
  for (size_t i = 1; i < cards_.size(); ++i) {
    workers_.push_back(std::make_unique<Worker>(cards_[i], patience_));
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
  // Allocated before anybody works: nothing may throw between giving and waiting.
  std::vector<std::exception_ptr> errors(count);
  for (size_t card = 1; card < count; ++card) workers_[card - 1]->announce();
  for (size_t card = 1; card < count; ++card) {
    workers_[card - 1]->give([&on_card, card] { on_card(card); });
  }
  try {
    on_card(0);
  } catch (...) {
    errors[0] = std::current_exception();
  }
  for (size_t card = 1; card < count; ++card)
    errors[card] = workers_[card - 1]->await_end();
  for (size_t card = 0; card < count; ++card) {
    if (errors[card]) rethrow_naming(card, cards_[card], errors[card]);
  }
}

bool CardThreads::await(size_t card) const {
  return workers_.at(card - 1)->await_end() == nullptr;
}

}  // namespace lockstep::data_parallel
