#include "data/sampler.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <numeric>
#include <stdexcept>
#include <string>

#include "device/memory_ledger.h"

namespace lockstep::data {
namespace {

std::vector<int64_t> shuffled(int64_t size, uint64_t seed) {
  const device::HostScope host;  // no card holds the order
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  const at::Tensor order =
      at::randperm(size, generator, at::TensorOptions().dtype(at::kLong));
  const auto* first = order.const_data_ptr<int64_t>();
  return {first, first + size};
}

void check_rank(int rank, int world_size) {
  if (rank >= 0 && rank < world_size) return;
  throw std::invalid_argument("rank " + std::to_string(rank) +
                              " is not in a world of " + std::to_string(world_size));
}

}  // namespace

std::vector<int64_t> Sampler::order(int64_t size, uint64_t seed) const {
  if (order_ == Order::as_stored) {
    std::vector<int64_t> all(static_cast<size_t>(size));
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  return shuffled(size, seed + static_cast<uint64_t>(epoch()));
}

int64_t SequentialSampler::size() const {
  return (size_ - rank_ + world_size_ - 1) / world_size_;
}

std::vector<int64_t> SequentialSampler::indices() const {
  std::vector<int64_t> mine;
  for (int64_t i = rank_; i < size_; i += world_size_) mine.push_back(i);
  return mine;
}

int64_t RandomSampler::size() const { return size_; }

std::vector<int64_t> RandomSampler::indices() const { return order(size_, seed_); }

DistributedSampler::DistributedSampler(int64_t size, int world_size, int rank,
                                       uint64_t seed, bool drop_last)
    : size_(size),
      world_size_(world_size),
      rank_(rank),
      seed_(seed),
      drop_last_(drop_last) {
  check_rank(rank, world_size);
}

int64_t DistributedSampler::size() const {
  return drop_last_ ? size_ / world_size_ : (size_ + world_size_ - 1) / world_size_;
}

std::vector<int64_t> DistributedSampler::indices() const {
  const std::vector<int64_t> all = order(size_, seed_);
  std::vector<int64_t> mine(static_cast<size_t>(size()));
  for (int64_t i = 0; i < size(); ++i) {
    // The remainder is the padding: past its end the order starts again.
    mine[static_cast<size_t>(i)] =
        all[static_cast<size_t>((i * world_size_ + rank_) % size_)];
  }
  return mine;
}

UnevenSampler::UnevenSampler(int64_t size, int world_size, int rank, uint64_t seed)
    : size_(size), world_size_(world_size), rank_(rank), seed_(seed) {
  check_rank(rank, world_size);
}

std::vector<int64_t> UnevenSampler::indices() const {
  const std::vector<int64_t> all = order(size_, seed_);
  std::vector<int64_t> mine;
  for (int64_t i = rank_; i < size_; i += world_size_) {
    mine.push_back(all[static_cast<size_t>(i)]);
  }
  return mine;
}

int64_t RanksInTurnSampler::size() const {
  const int64_t global_batch = ranks_ * local_batch_;
  return size_ / global_batch * global_batch;
}

std::vector<int64_t> RanksInTurnSampler::indices() const {
  const std::vector<int64_t> all = order(size_, seed_);
  const int64_t global_batch = ranks_ * local_batch_;
  std::vector<int64_t> turns;
  turns.reserve(static_cast<size_t>(size()));
  for (int64_t start = 0; start + global_batch <= size_; start += global_batch) {
    for (int64_t rank = 0; rank < ranks_; ++rank) {
      for (int64_t i = 0; i < local_batch_; ++i) {
        turns.push_back(all[static_cast<size_t>(start + i * ranks_ + rank)]);
      }
    }
  }
  return turns;
}

}  // namespace lockstep::data
