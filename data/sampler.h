// The order in which samples are visited: the same as in PyTorch's Python loop, so that
// losses can be compared digit by digit. LibTorch's own C++ distributed samplers give
// contiguous blocks and take no seed.
//
// The order of an epoch is torch.randperm(size, generator seeded with seed + epoch).
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep::data {

enum class Order : uint8_t {
  anew,       // every epoch has its own
  first,      // all have the first one's, as where nobody calls set_epoch()
  as_stored,  // the data set's own
};

class Sampler {
 public:
  virtual ~Sampler() = default;
  // Every epoch has an order of its own; call it before the epoch's first batch.
  void set_epoch(int64_t epoch) { epoch_ = epoch; }
  void set_order(Order order) { order_ = order; }
  // This rank's samples of the epoch, in order.
  virtual std::vector<int64_t> indices() const = 0;
  // Of `epoch` this rank's first so many were taken before: the loader leaves them out.
  void resume_at(int64_t epoch, int64_t taken) {
    resumed_epoch_ = epoch;
    taken_ = taken;
  }
  int64_t taken() const { return epoch_ == resumed_epoch_ ? taken_ : 0; }
  // How many they are, in every epoch.
  virtual int64_t size() const = 0;
  // How many the rank has that has most: all ranks get as many batches.
  virtual int64_t most() const { return size(); }

 protected:
  // That the order is of.
  int64_t epoch() const { return order_ == Order::first ? 0 : epoch_; }
  // All samples in its order.
  std::vector<int64_t> order(int64_t size, uint64_t seed) const;

 private:
  int64_t epoch_ = 0;
  Order order_ = Order::anew;
  int64_t resumed_epoch_ = 0;
  int64_t taken_ = 0;
};

// In the data set's own order, for evaluation: rank r of w takes [r::w] without
// padding, so that over all ranks every sample is taken once.
class SequentialSampler final : public Sampler {
 public:
  explicit SequentialSampler(int64_t size, int world_size = 1, int rank = 0)
      : size_(size), world_size_(world_size), rank_(rank) {}
  std::vector<int64_t> indices() const override;
  int64_t size() const override;

 private:
  int64_t size_;
  int64_t world_size_;
  int64_t rank_;
};

class RandomSampler final : public Sampler {
 public:
  RandomSampler(int64_t size, uint64_t seed) : size_(size), seed_(seed) {}
  std::vector<int64_t> indices() const override;
  int64_t size() const override;

 private:
  int64_t size_;
  uint64_t seed_;
};

// Rank r of w takes [r::w] of the common order, so that every rank has as many: the
// order is padded by wrapping around, or cut where drop_last is set. After
// torch/utils/data/distributed.py.
class DistributedSampler final : public Sampler {
 public:
  DistributedSampler(int64_t size, int world_size, int rank, uint64_t seed,
                     bool drop_last);
  std::vector<int64_t> indices() const override;
  int64_t size() const override;

 private:
  int64_t size_;
  int64_t world_size_;
  int64_t rank_;
  uint64_t seed_;
  bool drop_last_;
};

// The same without padding: no sample is taken twice, and shares differ by one sample.
// Where that makes a batch more, who has none gets an empty one.
class UnevenSampler final : public Sampler {
 public:
  UnevenSampler(int64_t size, int world_size, int rank, uint64_t seed);
  std::vector<int64_t> indices() const override;
  int64_t size() const override {
    return (size_ - rank_ + world_size_ - 1) / world_size_;
  }
  int64_t most() const override { return (size_ + world_size_ - 1) / world_size_; }

 private:
  int64_t size_;
  int64_t world_size_;
  int64_t rank_;
  uint64_t seed_;
};

// For one card that stands in for `ranks`: the local batches of all ranks one after the
// other, step by step, as DistributedSampler would deal them. Only whole global
// batches.
class RanksInTurnSampler final : public Sampler {
 public:
  RanksInTurnSampler(int64_t size, int64_t ranks, int64_t local_batch, uint64_t seed)
      : size_(size), ranks_(ranks), local_batch_(local_batch), seed_(seed) {}
  std::vector<int64_t> indices() const override;
  int64_t size() const override;

 private:
  int64_t size_;
  int64_t ranks_;
  int64_t local_batch_;
  uint64_t seed_;
};

}  // namespace lockstep::data
