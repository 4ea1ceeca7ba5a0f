// Batches of an epoch, in the sampler's order, prepared ahead on threads of their own.
// What is prepared belongs to the host: a card pays when it puts the batch.
//
//   for (const data::Batch& batch : loader) ...   // one pass over sampler.indices()
//
// A rank that has a batch less than another gets an empty one in its place.
//
// One thread iterates. Leaving the loop early stops the workers. An error in a worker
// comes out of the iteration, at the batch it concerns.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>

#include "data/dataset.h"
#include "data/sampler.h"

namespace lockstep::data {

struct LoaderOptions {
  int64_t batch_size = 64;
  // Leaves out the last batch where it is smaller than the others.
  bool drop_last = false;
  // Images [n, c, h, w] lie with their channels innermost.
  bool channels_last = false;
  // Threads that work ahead; each keeps up to two batches ready. 0: none.
  int num_workers = 0;
  // Batches lie in page-locked memory. Needs a CUDA device.
  bool pin_memory = false;
};

class BatchStream;

class DataLoader {
 public:
  // Keeps references to both: they outlive the loader.
  DataLoader(const Samples& samples, at::ScalarType type, const Sampler& sampler,
             LoaderOptions options);

  class Iterator {
   public:
    explicit Iterator(std::shared_ptr<BatchStream> stream);
    const Batch& operator*() const { return *batch_; }
    Iterator& operator++();
    bool operator==(std::default_sentinel_t) const { return !batch_.has_value(); }

   private:
    std::shared_ptr<BatchStream> stream_;
    std::optional<Batch> batch_;
  };

  Iterator begin() const;
  std::default_sentinel_t end() const { return {}; }

  int64_t batches() const;  // an epoch

 private:
  const Samples& samples_;
  at::ScalarType type_;
  const Sampler& sampler_;
  LoaderOptions options_;
};

}  // namespace lockstep::data

namespace lockstep {
using data::DataLoader;
}
