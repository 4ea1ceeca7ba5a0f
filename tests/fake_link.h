// A process group whose other ranks are imagined: they hold what this rank holds, and
// are reached over a link of known speed, one collective after the other. For tests of
// what is measured: the time on the link is known beforehand.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <utility>
#include <vector>

namespace lockstep {

class FakeLink final : public c10d::Backend {
 public:
  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;

  // What a busy machine adds. By how much an all_reduce was late is told on the link's
  // thread, before it is done; how long a rank waited for one, by its own clock, on
  // the rank's.
  struct Listener {
    std::function<void(Seconds)> late = [](Seconds) {};
    std::function<void(Seconds)> waited = [](Seconds) {};
  };

  // An all_reduce of b bytes takes `latency` + b / `bytes_per_s`.
  FakeLink(int size, Seconds latency, double bytes_per_s)
      : FakeLink(size, latency, bytes_per_s, Listener()) {}
  FakeLink(int size, Seconds latency, double bytes_per_s, Listener listener)
      : Backend(/*rank=*/0, size),
        latency_(latency),
        bytes_per_s_(bytes_per_s),
        listener_(std::move(listener)),
        thread_([this] { deliver(); }) {}
  ~FakeLink() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    news_.notify_one();
    thread_.join();
  }
  FakeLink(const FakeLink&) = delete;
  FakeLink& operator=(const FakeLink&) = delete;

  const std::string getBackendName() const override { return "fake"; }

  // The mean of equal tensors is any of them; nobody asks for their sum.
  c10::intrusive_ptr<c10d::Work> allreduce(
      std::vector<at::Tensor>& tensors,
      const c10d::AllreduceOptions& /*options*/) override {
    double bytes = 0;
    for (const at::Tensor& tensor : tensors) {
      bytes += static_cast<double>(tensor.nbytes());
    }
    auto work = c10::make_intrusive<LinkWork>(tensors, listener_.waited);
    const std::lock_guard lock(mutex_);
    const Seconds takes = latency_ + Seconds(bytes / bytes_per_s_);
    free_ = std::max(free_, Clock::now()) +
            std::chrono::duration_cast<Clock::duration>(takes);
    under_way_.emplace(free_, work);
    news_.notify_one();
    return work;
  }
  c10::intrusive_ptr<c10d::Work> broadcast(
      std::vector<at::Tensor>& tensors,
      const c10d::BroadcastOptions& /*options*/) override {
    return done(tensors);
  }
  c10::intrusive_ptr<c10d::Work> allgather(
      std::vector<std::vector<at::Tensor>>& outputs, std::vector<at::Tensor>& inputs,
      const c10d::AllgatherOptions& /*options*/) override {
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (at::Tensor& output : outputs[i]) output.copy_(inputs[i]);
    }
    return done(inputs);
  }

 private:
  class LinkWork final : public c10d::Work {
   public:
    LinkWork(std::vector<at::Tensor> tensors, std::function<void(Seconds)> waited)
        : tensors_(std::move(tensors)),
          waited_(std::move(waited)),
          future_(c10::make_intrusive<c10::ivalue::Future>(
              c10::ListType::create(c10::TensorType::get()))) {}
    bool wait(std::chrono::milliseconds /*timeout*/) override {
      const auto begin = Clock::now();
      future_->waitAndThrow();
      waited_(Clock::now() - begin);
      return true;
    }
    c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }
    void complete() { future_->markCompleted(c10::IValue(tensors_)); }

   private:
    std::vector<at::Tensor> tensors_;
    std::function<void(Seconds)> waited_;
    c10::intrusive_ptr<c10::ivalue::Future> future_;
  };

  static c10::intrusive_ptr<c10d::Work> done(const std::vector<at::Tensor>& tensors) {
    auto work = c10::make_intrusive<LinkWork>(tensors, [](Seconds) {});
    work->complete();
    return work;
  }

  void deliver() {
    std::unique_lock lock(mutex_);
    while (true) {
      news_.wait(lock, [this] { return stop_ || !under_way_.empty(); });
      if (stop_) return;
      const auto [arrives, work] = under_way_.front();
      under_way_.pop();
      lock.unlock();
      std::this_thread::sleep_until(arrives);
      listener_.late(Clock::now() - arrives);
      work->complete();
      lock.lock();
    }
  }

  const Seconds latency_;
  const double bytes_per_s_;
  const Listener listener_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::queue<std::pair<Clock::time_point, c10::intrusive_ptr<LinkWork>>> under_way_;
  Clock::time_point free_;  // from then on
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace lockstep
