// Ring, tree and halving-doubling: the sums, and as many messages and bytes as their
// costs are worked out from.
#include "collectives/all_reduce_algorithms.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <bit>
#include <random>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "shm/thread_groups.h"

namespace lockstep::collectives {

using comm::ProcessGroup;
using shm::GroupPtr;
using shm::on_ranks;
namespace {

using Algorithm = void (*)(ProcessGroup&, const at::Tensor&);

struct Way {
  const char* name;
  Algorithm all_reduce;
};
const Way kRing = {"ring", &ring_all_reduce};
const Way kTree = {"tree", &tree_all_reduce};
const Way kHalvingDoubling = {"halving_doubling", &halving_doubling_all_reduce};

// Counts what a rank sends. Collectives it does not have: the algorithms must do
// without.
class CountingBackend final : public c10d::Backend {
 public:
  explicit CountingBackend(c10::intrusive_ptr<c10d::Backend> backend)
      : Backend(backend->getRank(), backend->getSize()), backend_(std::move(backend)) {}

  const std::string getBackendName() const override { return "counting"; }
  c10::intrusive_ptr<c10d::Work> send(std::vector<at::Tensor>& tensors, int to,
                                      int tag) override {
    ++messages;
    bytes += static_cast<int64_t>(tensors.at(0).nbytes());
    return backend_->send(tensors, to, tag);
  }
  c10::intrusive_ptr<c10d::Work> recv(std::vector<at::Tensor>& tensors, int from,
                                      int tag) override {
    return backend_->recv(tensors, from, tag);
  }

  int64_t messages = 0, bytes = 0;

 private:
  c10::intrusive_ptr<c10d::Backend> backend_;
};

class EachWay : public testing::TestWithParam<std::tuple<Way, int>> {};

TEST_P(EachWay, SumsAsTheBackendDoes) {
  const Way way = std::get<0>(GetParam());
  on_ranks(std::get<1>(GetParam()), [&](GroupPtr& group) {
    std::minstd_rand same_on_all(1);
    std::vector<int64_t> sizes = {1, 2, 3, 7, 8, 9};
    for (int i = 0; i < 6; ++i) {
      sizes.push_back(static_cast<int64_t>(1 + same_on_all() % 70000));
    }
    for (const int64_t size : sizes) {
      for (const at::ScalarType type : {at::kFloat, at::kLong}) {
        // Whole numbers: exact in any order.
        const at::Tensor tensor =
            torch::arange(size).remainder(97).add(1000 * group->rank() + 1).to(type);
        const at::Tensor expected = tensor.clone();
        group->all_reduce(expected).wait();
        way.all_reduce(*group, tensor);
        EXPECT_TRUE(tensor.equal(expected)) << size << " of " << type;
      }
    }
    const at::Tensor matrix = torch::ones({5, 3}).requires_grad_();
    way.all_reduce(*group, matrix);
    EXPECT_TRUE(matrix.eq(group->size()).all().item<bool>());
    way.all_reduce(*group, torch::empty({0}));
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, EachWay,
                         testing::Combine(testing::Values(kRing, kTree,
                                                          kHalvingDoubling),
                                          testing::Range(1, 9)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name +
                                  std::to_string(std::get<1>(info.param));
                         });

struct Sent {
  int64_t messages = 0, bytes = 0;
  bool operator==(const Sent&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Sent& sent) {
  return out << sent.messages << " messages of " << sent.bytes << " bytes in all";
}

// What each rank sends to sum 8 * 840 bytes: 840 divides by every number up to 8.
constexpr int64_t kElements = 840, kBytes = 8 * kElements;

std::vector<Sent> sent_by_ranks(Algorithm all_reduce, int ranks) {
  std::vector<Sent> sent(static_cast<size_t>(ranks));
  on_ranks(ranks, [&](GroupPtr& gloo) {
    const auto counting = c10::make_intrusive<CountingBackend>(gloo->backend());
    ProcessGroup group(counting);
    all_reduce(group, torch::ones({kElements}, torch::kDouble));
    sent.at(static_cast<size_t>(gloo->rank())) = {counting->messages, counting->bytes};
    gloo->barrier();
  });
  return sent;
}

TEST(MessagesOf, TheRingAreOnePieceAStepFromEveryRank) {
  for (int n = 1; n <= 8; ++n) {
    const Sent each = {2 * (n - 1), 2 * (n - 1) * kBytes / n};
    EXPECT_EQ(sent_by_ranks(&ring_all_reduce, n),
              std::vector<Sent>(static_cast<size_t>(n), each))
        << n;
  }
}

TEST(MessagesOf, TheTreeAreTheWholeTensorOnceUpAndOnceDown) {
  for (int n = 1; n <= 8; ++n) {
    Sent all;
    int64_t most = 0;
    for (const Sent& sent : sent_by_ranks(&tree_all_reduce, n)) {
      all.messages += sent.messages;
      all.bytes += sent.bytes;
      most = std::max(most, sent.messages);
    }
    EXPECT_EQ(all, (Sent{2 * (n - 1), 2 * (n - 1) * kBytes})) << n;
    // No rank sends more often than there are rounds.
    EXPECT_LE(most, std::bit_width(static_cast<unsigned>(n - 1))) << n;
  }
}

TEST(MessagesOf, HalvingAndDoublingAreAsFewBytesAsTheRing) {
  for (int n = 1; n <= 8; ++n) {
    const auto power = static_cast<int>(std::bit_floor(static_cast<unsigned>(n)));
    const int extra = n - power;
    const int rounds = std::bit_width(static_cast<unsigned>(power)) - 1;
    const std::vector<Sent> sent = sent_by_ranks(&halving_doubling_all_reduce, n);
    for (int rank = 0; rank < n; ++rank) {
      SCOPED_TRACE(std::to_string(rank) + " of " + std::to_string(n));
      Sent expected = {2 * rounds, 2 * (power - 1) * kBytes / power};
      if (rank < 2 * extra && rank % 2 == 0) {
        expected = {1, kBytes};  // stands out
      } else if (rank < 2 * extra) {
        expected.messages += 1;
        expected.bytes += kBytes;
      }
      EXPECT_EQ(sent.at(static_cast<size_t>(rank)), expected);
    }
  }
}

}  // namespace
}  // namespace lockstep::collectives
