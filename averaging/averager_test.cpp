// Meetings against plain arithmetic on one thread, over several rounds: odd shapes, one
// tensor that lies transposed, a single number; ranks that come at different times.
#include "averaging/averager.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <array>
#include <random>

#include "device/memory_ledger.h"
#include "tests/thread_ranks.h"

namespace lockstep::averaging {
namespace {

using ddp::run_over_each_backend;
using ddp::run_thread_ranks;
using ddp::ThreadRank;
using Numbers = std::vector<double>;

constexpr int kRounds = 4;

// Of one type; equal on all ranks.
std::vector<at::Tensor> parameters(at::ScalarType type = at::kDouble) {
  const auto filled = [type](at::IntArrayRef shape) {
    at::Tensor tensor = at::arange(1, 1 + c10::multiply_integers(shape), at::kDouble);
    return (tensor.sin() * 0.3).reshape(shape).to(type);
  };
  return {filled({7, 5}), filled({3, 11}).t(), filled({}), filled({2049}),
          filled({0, 4})};
}

// Element by element, in the order of rows.
Numbers numbers_of(const std::vector<at::Tensor>& tensors) {
  Numbers numbers;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor rows = tensor.to(at::kDouble).contiguous();
    numbers.insert(numbers.end(), rows.const_data_ptr<double>(),
                   rows.const_data_ptr<double>() + rows.numel());
  }
  return numbers;
}

// How far a rank goes by itself in a round, element by element.
Numbers way_of(int round, int rank, size_t count) {
  std::minstd_rand random(static_cast<unsigned>(100 * round + rank + 1));
  std::uniform_real_distribution<double> far(-0.1, 0.1);
  Numbers way(count);
  for (double& one : way) one = far(random);
  return way;
}

void go(std::vector<at::Tensor>& tensors, const Numbers& way) {
  size_t start = 0;
  for (at::Tensor& tensor : tensors) {
    const auto count = static_cast<size_t>(tensor.numel());
    const Numbers mine(way.begin() + static_cast<std::ptrdiff_t>(start),
                       way.begin() + static_cast<std::ptrdiff_t>(start + count));
    tensor.add_(at::tensor(mine, at::kDouble).view(tensor.sizes()));
    start += count;
  }
}

// What the ranks hold after each round: the rule, written out.
std::vector<Numbers> by_hand(int ranks, double lr, double momentum) {
  Numbers at = numbers_of(parameters());
  Numbers speed(at.size());
  std::vector<Numbers> after;
  for (int round = 0; round < kRounds; ++round) {
    Numbers mean(at.size());
    for (int rank = 0; rank < ranks; ++rank) {
      const Numbers way = way_of(round, rank, at.size());
      for (size_t i = 0; i < at.size(); ++i) mean[i] += (at[i] + way[i]) / ranks;
    }
    for (size_t i = 0; i < at.size(); ++i) {
      const double gradient = at[i] - mean[i];
      speed[i] = momentum * speed[i] + gradient;
      at[i] -= lr * (gradient + momentum * speed[i]);
    }
    after.push_back(at);
  }
  return after;
}

double largest_gap(const Numbers& a, const Numbers& b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

using Make =
    std::function<AveragerPtr(const std::vector<at::Tensor>&, comm::ProcessGroup&)>;

void expect_by_hand(const Make& make, double lr, double momentum) {
  for (const int ranks : {2, 3, 4}) {
    const std::vector<Numbers> wanted = by_hand(ranks, lr, momentum);
    std::array<std::vector<Numbers>, 4> met;
    run_over_each_backend(ranks, [&](const ThreadRank& at) {
      std::vector<at::Tensor> mine = parameters();
      const AveragerPtr averager = make(mine, at.group);
      at.recording.hesitate(std::chrono::microseconds(500));
      std::vector<Numbers>& after = met[static_cast<size_t>(at.rank)];
      after.clear();
      for (int round = 0; round < kRounds; ++round) {
        go(mine, way_of(round, at.rank, wanted[0].size()));
        averager->meet();
        after.push_back(numbers_of(mine));
        EXPECT_LE(largest_gap(after.back(), wanted[static_cast<size_t>(round)]), 1e-14)
            << "round " << round << " on rank " << at.rank << " of " << ranks;
        EXPECT_EQ(at.recording.take_all_reduced().size(), 1U);
      }
    });
    for (int rank = 1; rank < ranks; ++rank) {
      EXPECT_EQ(met[static_cast<size_t>(rank)], met[0]) << "to the bit, " << rank;
    }
  }
}

TEST(LocalSgd, IsTheMeanOverRanks) { expect_by_hand(&make_local_sgd, 1, 0); }

TEST(Diloco, IsNesterovsStepAlongTheMeanWay) {
  for (const OuterStep outer : {OuterStep(), OuterStep{0.9, 0}, OuterStep{0.3, 0.5}}) {
    const Make make = [outer](const auto& tensors, comm::ProcessGroup& group) {
      return make_diloco(tensors, group, outer);
    };
    expect_by_hand(make, outer.lr, outer.momentum);
  }
}

TEST(Diloco, AtRateOneWithoutMomentumIsLocalSgd) {
  run_over_each_backend(3, [](const ThreadRank& at) {
    std::vector<at::Tensor> one = parameters();
    std::vector<at::Tensor> other = parameters();
    const AveragerPtr mean = make_local_sgd(one, at.group);
    const AveragerPtr diloco = make_diloco(other, at.group, {1, 0});
    for (int round = 0; round < kRounds; ++round) {
      const Numbers way = way_of(round, at.rank, numbers_of(one).size());
      go(one, way);
      go(other, way);
      mean->meet();
      diloco->meet();
      EXPECT_LE(largest_gap(numbers_of(other), numbers_of(one)), 1e-15);
    }
  });
}

// Memory of which every other number is somebody else's, too.
TEST(LocalSgd, SendsOneMessageAType) {
  run_over_each_backend(2, [](const ThreadRank& at) {
    std::vector<at::Tensor> all = parameters(at::kFloat);
    for (const at::Tensor& wide : parameters()) all.push_back(wide);
    const at::Tensor sparse = at::zeros({6, 2}).select(1, 0).fill_(at.rank);
    all.push_back(sparse);
    for (at::Tensor& tensor : all) tensor.add_(at.rank);
    const AveragerPtr mean = make_local_sgd(all, at.group);
    mean->meet();
    const int64_t wide = static_cast<int64_t>(numbers_of(parameters()).size());
    EXPECT_EQ(at.recording.take_all_reduced(), (std::vector<int64_t>{wide + 6, wide}));
    EXPECT_TRUE(at::equal(sparse, at::full({6}, 1.0F)));
    EXPECT_LE(largest_gap(numbers_of({all[0]}),
                          numbers_of({parameters(at::kFloat)[0] + 0.5})),
              1e-7);
    EXPECT_LE(largest_gap(numbers_of({all[6]}), numbers_of({parameters()[1] + 0.5})),
              1e-15);
  });
}

// From before the first meeting, and no more after it. Over shm the parameters are
// added up where they are.
TEST(Averager, HoldsWhatTheLedgerSays) {
  using device::Category;
  constexpr int64_t kElements = 5000;
  constexpr int64_t kBytes = kElements * 8;
  for (const std::string backend : {"gloo", "shm"}) {
    const auto held = [&backend](const Make& make) {
      std::array<int64_t, 2> bytes{};
      run_thread_ranks(
          2,
          [&](const ThreadRank& at) {
            std::vector<at::Tensor> mine = {at::zeros({kElements}, at::kDouble)};
            const AveragerPtr averager = make(mine, at.group);
            device::reset_peak(at.rank);
            const auto live = [&at] { return device::card_bytes(at.rank); };
            const auto before = live().live_by_category;
            averager->meet();
            EXPECT_EQ(live().live_by_category, before);
            EXPECT_LE(live().peak, live().live + 64) << "but for a number or two";
            if (at.rank != 1) return;
            bytes = {before[static_cast<size_t>(Category::optimizer_state)],
                     before[static_cast<size_t>(Category::buckets)]};
          },
          backend);
      return bytes;
    };
    const Make with_momentum = [](const auto& tensors, comm::ProcessGroup& group) {
      return make_diloco(tensors, group, OuterStep());
    };
    const Make without = [](const auto& tensors, comm::ProcessGroup& group) {
      return make_diloco(tensors, group, {0.7, 0});
    };
    const int64_t message = backend == "gloo" ? kBytes : 0;
    EXPECT_EQ(held(&make_local_sgd), (std::array<int64_t, 2>{0, message}));
    EXPECT_EQ(held(without), (std::array<int64_t, 2>{kBytes, message}));
    EXPECT_EQ(held(with_momentum), (std::array<int64_t, 2>{2 * kBytes, message}));
  }
}

}  // namespace
}  // namespace lockstep::averaging
