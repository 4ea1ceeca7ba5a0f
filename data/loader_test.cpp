#include "data/loader.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "device/ledger_allocator.h"
#include "device/memory_ledger.h"
#include "tests/own_threads.h"

namespace lockstep::data {
namespace {

// Labels tell which sample it is.
Samples numbered_images(int64_t size) {
  return {torch::randint(0, 256, {size, 1, 4, 3}, at::kByte), torch::arange(size)};
}

// Gives what it was told to, whether or not there are such samples.
class GivenSampler final : public Sampler {
 public:
  explicit GivenSampler(std::vector<int64_t> given) : given_(std::move(given)) {}
  std::vector<int64_t> indices() const override { return given_; }
  int64_t size() const override { return static_cast<int64_t>(given_.size()); }

 private:
  std::vector<int64_t> given_;
};

std::vector<Batch> all_batches(const DataLoader& loader) {
  std::vector<Batch> batches;
  for (const Batch& batch : loader) batches.push_back(batch);
  return batches;
}

class LoaderTest : public testing::TestWithParam<int> {};

TEST_P(LoaderTest, GivesTheSamplersOrderWhateverTheWorkers) {
  for (const int64_t size : {1, 7, 64, 129}) {
    const Samples samples = numbered_images(size);
    const RandomSampler sampler(size, 5);
    const std::vector<int64_t> order = sampler.indices();
    for (const int64_t batch_size : {1, 5, 64, 200}) {
      for (const bool drop_last : {false, true}) {
        const DataLoader loader(samples, at::kFloat, sampler,
                                {.batch_size = batch_size,
                                 .drop_last = drop_last,
                                 .num_workers = GetParam()});
        const int64_t count =
            drop_last ? size / batch_size : (size + batch_size - 1) / batch_size;
        const auto batches = all_batches(loader);
        ASSERT_EQ(batches.size(), static_cast<size_t>(count));
        ASSERT_EQ(loader.batches(), count);
        std::vector<int64_t> labels;
        for (const Batch& batch : batches) {
          const auto* first = batch.labels.data_ptr<int64_t>();
          const int64_t left = size - static_cast<int64_t>(labels.size());
          const std::vector<int64_t> these(first, first + batch.labels.size(0));
          ASSERT_EQ(batch.labels.size(0), std::min(batch_size, left));
          const Batch expected = samples.take(these, at::kFloat);
          ASSERT_TRUE(batch.images.equal(expected.images));
          ASSERT_TRUE(batch.images.is_contiguous());
          labels.insert(labels.end(), these.begin(), these.end());
        }
        ASSERT_TRUE(std::equal(labels.begin(), labels.end(), order.begin()));
      }
    }
  }
}

// Of 13 samples two ranks have 7 and 6: batches of 3, and then of 1 and of 0.
TEST_P(LoaderTest, WhoHasABatchLessGetsAnEmptyOne) {
  const Samples samples = numbered_images(13);
  const auto sizes = [&](int rank, int64_t taken) {
    UnevenSampler sampler(13, 2, rank, 0);
    sampler.resume_at(0, taken);
    const DataLoader loader(samples, at::kFloat, sampler,
                            {.batch_size = 3, .num_workers = GetParam()});
    EXPECT_EQ(loader.batches(), 3);
    std::vector<int64_t> all;
    for (const Batch& batch : loader) {
      EXPECT_EQ(batch.images.sizes().slice(1), at::IntArrayRef({1, 4, 3}));
      all.push_back(batch.labels.size(0));
    }
    return all;
  };
  using Sizes = std::vector<int64_t>;
  EXPECT_EQ(sizes(0, 0), (Sizes{3, 3, 1}));
  EXPECT_EQ(sizes(1, 0), (Sizes{3, 3, 0}));
  EXPECT_EQ(sizes(1, 3), (Sizes{3, 0}));
  EXPECT_EQ(sizes(0, 7), Sizes{});  // resumed where rank 0 was through
  EXPECT_EQ(sizes(1, 7), Sizes{});
}

TEST_P(LoaderTest, AnotherPassFollowsTheSamplersEpoch) {
  const Samples samples = numbered_images(40);
  RandomSampler sampler(40, 0);
  const DataLoader loader(samples, at::kFloat, sampler, {.num_workers = GetParam()});
  const auto labels = [&](int64_t epoch) {
    sampler.set_epoch(epoch);
    return all_batches(loader).front().labels;
  };
  const at::Tensor first = labels(0);
  EXPECT_TRUE(labels(0).equal(first));
  EXPECT_FALSE(labels(1).equal(first));
}

TEST_P(LoaderTest, LeavingEarlyStopsTheWorkers) {
  const Samples samples = numbered_images(1000);
  const SequentialSampler sampler(1000);
  const DataLoader loader(samples, at::kFloat, sampler,
                          {.batch_size = 3, .num_workers = GetParam()});
  const std::set<std::string> before = own_threads();
  const auto workers = static_cast<size_t>(GetParam());
  for (int pass = 0; pass < 5; ++pass) {
    int64_t next = 0;
    for (const Batch& batch : loader) {
      ASSERT_EQ(batch.labels[0].item<int64_t>(), 3 * next);
      EXPECT_EQ(count_since(before, workers), workers);
      if (next++ == pass) break;
    }
  }
  EXPECT_EQ(count_since(before, 0), 0U);
}

TEST_P(LoaderTest, AnErrorComesOutAtItsBatch) {
  const Samples samples = numbered_images(10);
  const GivenSampler sampler({0, 1, 2, 3, 4, 99, 5, 6});  // no sample 99
  const DataLoader loader(samples, at::kFloat, sampler,
                          {.batch_size = 2, .num_workers = GetParam()});
  int64_t batches = 0;
  try {
    for (const Batch& batch : loader) {
      EXPECT_EQ(batch.labels[0].item<int64_t>(), 2 * batches);
      ++batches;
    }
    FAIL() << "sample 99 of 10 was found";
  } catch (const std::out_of_range& error) {
    EXPECT_STREQ(error.what(), "sample 99 of 10");
  }
  EXPECT_EQ(batches, 2);
}

TEST_P(LoaderTest, DoublesAreTheFloatsWidened) {
  const Samples samples = numbered_images(9);
  const SequentialSampler sampler(9);
  const LoaderOptions options = {.batch_size = 4, .num_workers = GetParam()};
  const auto floats = all_batches(DataLoader(samples, at::kFloat, sampler, options));
  const auto doubles = all_batches(DataLoader(samples, at::kDouble, sampler, options));
  ASSERT_EQ(floats.size(), 3U);
  for (size_t i = 0; i < floats.size(); ++i) {
    EXPECT_EQ(doubles[i].images.scalar_type(), at::kDouble);
    EXPECT_TRUE(doubles[i].images.equal(floats[i].images.to(at::kDouble)));
    EXPECT_TRUE(doubles[i].images.is_contiguous());
    EXPECT_EQ(doubles[i].labels.scalar_type(), at::kLong);
  }
}

TEST_P(LoaderTest, NoCardPaysForPreparedBatches) {
  device::install_ledger();
  const Samples samples = numbered_images(64);
  const SequentialSampler sampler(64);
  const DataLoader loader(samples, at::kFloat, sampler,
                          {.batch_size = 8, .num_workers = GetParam()});
  const int64_t host_before = device::card_bytes(device::kHost).live;
  const device::AccountScope scope({1, device::Category::input});
  device::reset_peak(1);
  const std::vector<Batch> batches = all_batches(loader);
  EXPECT_EQ(device::card_bytes(1).peak, 0);
  EXPECT_EQ(device::card_bytes(device::kHost).live - host_before, 64 * (12 * 4 + 8));
}

INSTANTIATE_TEST_SUITE_P(Workers, LoaderTest, testing::Values(0, 1, 4));

TEST(LoaderOptionsTest, WhatCannotBeIsRefused) {
  const Samples samples = numbered_images(4);
  const SequentialSampler sampler(4);
  const auto loader = [&](LoaderOptions options) {
    return DataLoader(samples, at::kFloat, sampler, options);
  };
  EXPECT_THROW(loader({.batch_size = 0}), std::invalid_argument);
  EXPECT_THROW(loader({.num_workers = -1}), std::invalid_argument);
}

TEST(LoaderOptionsTest, NoSamplesNoBatches) {
  const Samples samples = numbered_images(3);
  const GivenSampler sampler({});
  for (const int workers : {0, 2}) {
    EXPECT_TRUE(
        all_batches({samples, at::kFloat, sampler, {.num_workers = workers}}).empty());
  }
}

}  // namespace
}  // namespace lockstep::data
