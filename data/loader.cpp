#include "data/loader.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "device/memory_ledger.h"

namespace lockstep::data {
namespace {

int64_t batches_in(int64_t samples, const LoaderOptions& options) {
  const int64_t rest = options.drop_last ? 0 : options.batch_size - 1;
  return (samples + rest) / options.batch_size;
}

}  // namespace

// One pass. Workers claim batches in order and may run ahead of the reader by a bounded
// number; the reader takes them in order whoever finished first.
class BatchStream {
 public:
  // Those beyond the indices are empty.
  BatchStream(const Samples& samples, at::ScalarType type, std::vector<int64_t> indices,
              int64_t batches, const LoaderOptions& options)
      : samples_(samples),
        type_(type),
        indices_(std::move(indices)),
        options_(options),
        batches_(batches) {
    for (int i = 0; i < options_.num_workers; ++i)
      workers_.emplace_back([this] { work(); });
  }

  ~BatchStream() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;

  std::optional<Batch> next() {
    if (taken_ == batches_) return std::nullopt;
    if (workers_.empty()) {
      const device::HostScope host;
      return prepare(taken_++);
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ready_.count(taken_) > 0; });
    Prepared prepared = std::move(ready_.extract(taken_++).mapped());
    lock.unlock();
    changed_.notify_all();
    if (prepared.error) std::rethrow_exception(prepared.error);
    return std::move(prepared.batch);
  }

 private:
  struct Prepared {
    Batch batch;
    std::exception_ptr error;
  };

  Batch prepare(int64_t index) const {
    const auto size = static_cast<int64_t>(indices_.size());
    const int64_t start = std::min(index * options_.batch_size, size);
    const int64_t count = std::min(options_.batch_size, size - start);
    const std::span<const int64_t> all(indices_);
    Batch batch = samples_.take(
        all.subspan(static_cast<size_t>(start), static_cast<size_t>(count)), type_);
    if (options_.channels_last && batch.images.dim() == 4) {
      batch.images = batch.images.contiguous(at::MemoryFormat::ChannelsLast);
    }
    if (options_.pin_memory) {
      batch = {batch.images.pin_memory(), batch.labels.pin_memory()};
    }
    return batch;
  }

  void work() {
    // The cores belong to the cards: a worker copies, it does not fan out.
    at::get_num_threads();
    at::set_num_threads(1);
    const int64_t ahead = 2 * options_.num_workers;
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return stopped_ || claimed_ < taken_ + ahead; });
      if (stopped_ || claimed_ == batches_) return;
      const int64_t index = claimed_++;
      lock.unlock();
      Prepared prepared;
      try {
        prepared.batch = prepare(index);
      } catch (...) {
        prepared.error = std::current_exception();
      }
      lock.lock();
      ready_.emplace(index, std::move(prepared));
      changed_.notify_all();
    }
  }

  const Samples& samples_;
  const at::ScalarType type_;
  const std::vector<int64_t> indices_;
  const LoaderOptions options_;
  const int64_t batches_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_ where there are workers.
  int64_t claimed_ = 0;
  int64_t taken_ = 0;
  std::map<int64_t, Prepared> ready_;
  bool stopped_ = false;
  std::vector<std::thread> workers_;
};

DataLoader::DataLoader(const Samples& samples, at::ScalarType type,
                       const Sampler& sampler, LoaderOptions options)
    : samples_(samples), type_(type), sampler_(sampler), options_(options) {
  if (options_.batch_size < 1 || options_.num_workers < 0) {
    throw std::invalid_argument(
        "a loader of batch size " + std::to_string(options_.batch_size) + " with " +
        std::to_string(options_.num_workers) + " workers cannot be");
  }
}

int64_t DataLoader::batches() const { return batches_in(sampler_.most(), options_); }

DataLoader::Iterator DataLoader::begin() const {
  std::vector<int64_t> indices = sampler_.indices();
  const int64_t taken = std::min(sampler_.taken(), sampler_.most());
  indices.erase(
      indices.begin(),
      indices.begin() + std::min(taken, static_cast<int64_t>(indices.size())));
  return Iterator(std::make_shared<BatchStream>(
      samples_, type_, std::move(indices),
      batches_in(sampler_.most() - taken, options_), options_));
}

DataLoader::Iterator::Iterator(std::shared_ptr<BatchStream> stream)
    : stream_(std::move(stream)) {
  ++*this;
}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  batch_ = stream_->next();
  return *this;
}

}  // namespace lockstep::data
