#include "data_parallel/scatter_gather.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <numeric>
#include <random>

#include "device/memory_ledger.h"
#include "tests/ledger_blocks.h"

namespace lockstep::data_parallel {
namespace {

using device::Category;
using device::live;
using device::make_cards;

TEST(SharesTest, AreThoseOfChunk) {
  for (int64_t rows = 0; rows < 40; ++rows) {
    for (size_t cards = 1; cards <= 9; ++cards) {
      const auto chunks = torch::empty({rows}).chunk(static_cast<int64_t>(cards));
      const Rows pieces = shares(rows, cards, 1);
      if (rows == 0) {
        EXPECT_EQ(pieces, Rows{0});
        continue;
      }
      ASSERT_EQ(pieces.size(), chunks.size());
      for (size_t i = 0; i < pieces.size(); ++i)
        EXPECT_EQ(pieces[i], chunks[i].size(0));
    }
  }
}

TEST(SharesTest, APrimaryCardThatTakesLess) {
  EXPECT_EQ(shares(16, 4, 0.5), (Rows{2, 5, 5, 4}));
  EXPECT_EQ(shares(16, 4, 0.001), (Rows{1, 5, 5, 5})) << "one row at least";
  EXPECT_EQ(shares(16, 1, 0.5), (Rows{16})) << "nobody else is there";
  EXPECT_EQ(shares(1, 4, 0.5), (Rows{1}));
  EXPECT_EQ(shares(2, 4, 0.5), (Rows{1, 1}));
}

TEST(ScatterGatherTest, RoundTripOverAnyCardsAndDimensions) {
  std::mt19937 random(0);
  for (int i = 0; i < 200; ++i) {
    const auto cards = make_cards("cpu", static_cast<int>(1 + random() % 8), 1);
    CardThreads threads(cards);
    const Card& whole = cards[random() % cards.size()];
    std::vector<int64_t> shape = {static_cast<int64_t>(1 + random() % 40)};
    while (shape.size() < 1 + random() % 4) {
      shape.push_back(static_cast<int64_t>(1 + random() % 9));
    }
    const auto dim = static_cast<int64_t>(random() % shape.size());
    const Route route = {cards, threads, whole, dim};
    const CardScope scope(whole);
    const at::Tensor all = torch::rand(shape, i % 2 == 0 ? at::kFloat : at::kDouble);
    const Rows rows = shares(all.size(dim), cards.size(), i % 3 == 0 ? 0.4 : 1);
    std::vector<Tensors> pieces;
    for (size_t card = 0; card < rows.size(); ++card) {
      pieces.push_back(
          scatter({all, at::Tensor()}, {rows, rows}, card, route, Category::input));
    }
    ASSERT_EQ(pieces.size(), rows.size());
    int64_t start = 0;
    for (size_t p = 0; p < pieces.size(); ++p) {
      const at::Tensor& piece = pieces[p][0];
      ASSERT_TRUE(piece.equal(all.narrow(dim, start, rows[p])));
      ASSERT_FALSE(pieces[p][1].defined()) << "what is not there stays so";
      start += rows[p];
      const bool here = cards[p].index() == whole.index();
      ASSERT_EQ(piece.is_alias_of(all), here) << "cards have their own memory";
      if (!here) {
        ASSERT_EQ(live(cards[p].index(), Category::input),
                  static_cast<int64_t>(piece.nbytes()));
      }
    }
    ASSERT_EQ(start, all.size(dim));
    EXPECT_EQ(rows_of({{all}, {all}}, dim), (std::vector<Rows>{{start, start}}));
    std::vector<Tensors> outputs;
    for (const Tensors& of_card : pieces) outputs.push_back({of_card[0]});
    const at::Tensor gathered = gather(outputs, route).front();
    ASSERT_TRUE(gathered.equal(all));
    ASSERT_EQ(live(whole.index(), Category::gathered_outputs),
              static_cast<int64_t>(all.nbytes()));
  }
}

class GatherTest : public testing::Test {
 protected:
  Tensors gathered(const std::vector<Tensors>& pieces, int64_t dim = 0) {
    return gather(pieces, {cards_, threads_, cards_.front(), dim});
  }

  std::vector<Card> cards_ = make_cards("cpu", 3, 1);
  CardThreads threads_{cards_};
};

TEST_F(GatherTest, LogitsHaveNoHistory) {
  const at::Tensor leaf = torch::rand({5, 2}, at::requires_grad());
  EXPECT_FALSE(gathered({{leaf * 2}, {leaf * 3}}).front().requires_grad());
}

TEST_F(GatherTest, NumbersBecomeRows) {
  const auto number = [](double value) { return torch::full({}, value); };
  const auto all = gathered({{number(1)}, {number(2)}, {number(3)}});
  EXPECT_TRUE(all.front().equal(torch::tensor({1.0F, 2.0F, 3.0F})));
}

TEST_F(GatherTest, ChannelsInnermostStaySo) {
  const auto piece =
      torch::rand({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  const auto all = gathered({{piece}, {piece}});
  EXPECT_TRUE(all.front().is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(all.front().equal(at::cat({piece, piece})));
}

TEST_F(GatherTest, APieceThatDoesNotFitIsNamed) {
  const auto error_of = [&](const at::Tensor& other) -> std::string {
    try {
      gathered({{torch::rand({2, 3})}, {torch::rand({4, 3})}, {other}});
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "none";
  };
  EXPECT_EQ(
      error_of(torch::rand({2, 4})),
      "replica 2's output 0 has the shape [2, 4] and replica 0's [2, 3]; they must "
      "differ in dimension 0 alone");
  EXPECT_NE(error_of(torch::rand({2, 3, 1})), "none");
  EXPECT_EQ(error_of(torch::rand({7, 3})), "none");
}

TEST_F(GatherTest, AReplicaWithOtherOutputsIsNamed) {
  const at::Tensor piece = torch::rand({2, 3});
  try {
    gathered({{piece, piece}, {piece, piece}, {piece}});
    FAIL() << "the third has one output";
  } catch (const c10::Error& error) {
    EXPECT_STREQ(error.what_without_backtrace(),
                 "replica 2 has 1 outputs and replica 0 has 2; all must have as many");
  }
}

}  // namespace
}  // namespace lockstep::data_parallel
