// Lab 1: batches of numbered rows over emulated cards, and what each card's ledger says
// of the pieces.
#include "grading/grader.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/function.h>

#include <random>

#include "data_parallel/train.h"
#include "device/ledger_allocator.h"
#include "labs/graders/ledger_watch.h"
#include "labs/graders/listed.h"
#include "labs/graders/small_run.h"
#include "labs/scatter_gather.h"
#include "single_gpu/train.h"

namespace lockstep::labs {
namespace {

using grading::Check;
using grading::Misconception;
using grading::Refused;

constexpr char kCut[] = "2_data_parallel.md#scatter";
constexpr char kPays[] = "2_data_parallel.md#a-card-pays";
constexpr char kGather[] = "2_data_parallel.md#gather";
constexpr char kLeaf[] = "2_data_parallel.md#fresh-leaf";

Tensors scatter(const at::Tensor& batch, const std::vector<Card>& cards) {
  return scatter_gathers().at("student")().scatter(batch, cards);
}

at::Tensor gather(const Tensors& pieces, const Card& to) {
  return scatter_gathers().at("student")().gather(pieces, to);
}

std::vector<int64_t> rows_of(const Tensors& pieces) {
  std::vector<int64_t> rows;
  for (const at::Tensor& piece : pieces) rows.push_back(piece.size(0));
  return rows;
}

// Of a tensor whose rows begin with their own numbers.
std::vector<int64_t> first_column(const at::Tensor& rows) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    numbers.push_back(std::llround(rows[i].flatten()[0].item<double>()));
  }
  return numbers;
}

at::Tensor numbered_rows(int64_t rows) {
  return at::arange(rows, at::kDouble).unsqueeze(1).expand({rows, 3}).contiguous();
}

void look_at_cut(int64_t rows, int count) {
  const std::vector<Card> cards = device::make_cards("cpu", count, 1);
  const CardScope scope(cards.front());
  const at::Tensor batch = numbered_rows(rows);
  const Tensors pieces = scatter(batch, cards);
  const std::vector<int64_t> found = rows_of(pieces);
  const std::vector<int64_t> wanted = rows_of(batch.chunk(count));
  const std::string saw = std::to_string(rows) + " rows over " + std::to_string(count) +
                          " cards: pieces of " + listed(found) + " rows, not " +
                          listed(wanted);
  int64_t sum = 0;
  for (const int64_t piece : found) sum += piece;
  if (sum < rows) {
    throw Refused({"lost_rows",
                   "n / N rounded down for each card loses the rest of the "
                   "batch; the last piece takes what is left",
                   kCut},
                  saw);
  }
  if (std::count(found.begin(), found.end(), 0) > 0) {
    throw Refused({"empty_piece",
                   "a batch of fewer rows than cards keeps fewer cards busy; there is "
                   "no piece without rows",
                   kCut},
                  saw);
  }
  if (found != wanted) {
    throw Refused({"other_cut",
                   "pieces are those of Tensor.chunk: all of as many rows "
                   "but the last, which has what is left",
                   kCut},
                  saw);
  }
  const at::Tensor joined = at::cat(pieces);
  if (joined.sizes() == batch.sizes() && joined.equal(batch)) return;
  throw Refused({"row_order",
                 "every N-th row for each card brings the logits back in "
                 "another order than their labels; pieces are stretches of "
                 "rows that follow one another",
                 kCut},
                std::to_string(rows) + " rows over " + std::to_string(count) +
                    " cards: the pieces hold rows " + listed(first_column(joined)) +
                    ", in this order");
}

void look_at_cuts(uint64_t seed) {
  std::mt19937_64 random(seed);
  look_at_cut(12, 3);
  look_at_cut(10, 4);
  look_at_cut(5, 4);
  look_at_cut(2, 8);
  for (int i = 0; i < 60; ++i) {
    look_at_cut(static_cast<int64_t>(1 + random() % 40),
                static_cast<int>(1 + random() % 8));
  }
}

void look_at_bytes(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto count = static_cast<int>(2 + random() % 4);
  const std::vector<Card> cards = device::make_cards("cpu", count, 1);
  const CardScope scope(cards.front());
  const at::Tensor batch = numbered_rows(static_cast<int64_t>(20 + random() % 20));
  const LedgerWatch watch(cards);
  const Tensors pieces = scatter(batch, cards);
  for (size_t p = 1; p < pieces.size(); ++p) {
    const auto bytes = static_cast<int64_t>(pieces[p].nbytes());
    const std::string saw = "the piece of " + cards[p].name() + " has " +
                            std::to_string(bytes) + " bytes, and " +
                            std::to_string(watch.peak(p)) + " came to that card";
    if (pieces[p].is_alias_of(batch)) {
      throw Refused({"view_for_copy",
                     "a view of the batch lies on the primary card; a card computes on "
                     "what was copied to it, by card.put(piece)",
                     kPays},
                    saw);
    }
    if (watch.peak(p) > bytes) {
      throw Refused({"whole_batch_moved",
                     "only a card's own piece is moved there; the whole batch, to be "
                     "cut there, is N times as much",
                     kPays},
                    saw);
    }
    if (device::card_of(pieces[p]) != cards[p].index()) {
      throw Refused(
          {"piece_elsewhere",
           "a copy lies where it was allocated: piece p is put on cards[p]", kPays},
          saw);
    }
  }
  if (watch.peak(0) > 0) {
    throw Refused({"own_piece_copied",
                   "the batch lies on the primary card already; its own piece is a "
                   "view, and the others' are copied straight to their cards",
                   kPays},
                  cards.front().name() + " took " + std::to_string(watch.peak(0)) +
                      " more bytes, not 0");
  }
}

// Pieces as outputs of replicas are: each on its card, with different rows.
Tensors random_pieces(std::mt19937_64& random, const std::vector<Card>& cards) {
  std::vector<int64_t> shape = {1};
  while (shape.size() < 1 + random() % 3) {
    shape.push_back(static_cast<int64_t>(1 + random() % 5));
  }
  const at::ScalarType type = random() % 2 == 0 ? at::kFloat : at::kDouble;
  Tensors pieces;
  for (const Card& card : cards) {
    const CardScope scope(card);
    shape[0] = static_cast<int64_t>(1 + random() % 6);
    pieces.push_back(at::randn(shape, type));
  }
  return pieces;
}

void look_at_rows(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 40; ++i) {
    const auto cards = device::make_cards("cpu", static_cast<int>(1 + random() % 6), 1);
    const Tensors pieces = random_pieces(random, cards);
    const at::Tensor wanted = at::cat(pieces);
    const at::Tensor found = gather(pieces, cards.front());
    const std::string of = "pieces of " + listed(rows_of(pieces)) + " rows became ";
    if (found.sizes() != wanted.sizes()) {
      throw Refused({"equal_pieces",
                     "pieces differ in their rows; there is room for the sum of them, "
                     "and each begins where the one before ends",
                     kGather},
                    of + listed(found.sizes()) + ", not " + listed(wanted.sizes()));
    }
    const bool same_type = found.scalar_type() == wanted.scalar_type();
    if (same_type && found.equal(wanted)) continue;
    throw Refused(
        {"gathered_order", "all pieces' rows, in the order of cards", kGather},
        of + (same_type ? "other rows" : "rows of another type"));
  }
}

void look_at_place(uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<Card> cards = device::make_cards("cpu", 4, 1);
  for (const size_t to : {1 + random() % 3, size_t{0}}) {
    const Tensors pieces = random_pieces(random, cards);
    const size_t thread_on = to == 0 ? 2 : 0;
    const CardScope scope(cards[thread_on]);
    const LedgerWatch watch(cards);
    const at::Tensor whole = gather(pieces, cards[to]);
    const auto bytes = static_cast<int64_t>(whole.nbytes());
    if (device::card_of(whole) != cards[to].index()) {
      throw Refused({"gathered_elsewhere",
                     "what is allocated lies on the card of the scope that the thread "
                     "stands in; gather allocates on the card it is given",
                     kGather},
                    "gathered on " + cards[to].name() + " by a thread of " +
                        cards[thread_on].name() + ": " + cards[to].name() + " took " +
                        std::to_string(watch.grown(to)) + " bytes, not " +
                        std::to_string(bytes));
    }
    for (size_t card = 0; card < cards.size(); ++card) {
      const int64_t wanted = card == to ? bytes : 0;
      if (watch.peak(card) <= wanted) continue;
      throw Refused({"gathered_twice",
                     "there is room for all rows once, on the output card, and each "
                     "piece is copied straight into it",
                     kGather},
                    cards[card].name() + " took " + std::to_string(watch.peak(card)) +
                        " bytes, not " + std::to_string(wanted) +
                        ", as rows were gathered on " + cards[to].name());
    }
  }
}

void look_at_history(uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<Card> cards = device::make_cards("cpu", 3, 1);
  Tensors outputs;
  for (const at::Tensor& piece : random_pieces(random, cards)) {
    outputs.push_back(piece.requires_grad_() * 2);
  }
  for (const Tensors& joined : {outputs, Tensors{outputs.front()}}) {
    const at::Tensor whole = gather(joined, cards.front());
    if (!whole.requires_grad()) continue;
    throw Refused(
        {"history",
         "the gathered logits begin a graph of their own; backward stops there", kLeaf},
        std::to_string(joined.size()) + " outputs with history became a tensor with " +
            "history (" + whole.grad_fn()->name() + "), not a plain copy");
  }
}

void look_at_training(uint64_t seed) {
  add_student_steps();
  const Misconception otherwise{
      "not_one_cards_losses",
      "scattered and gathered, a batch has the losses that it "
      "has on one card",
      kCut};
  // The last batch of an epoch has one row: fewer than cards.
  TrainOptions options = small_run(seed, 3 * 15 + 1);
  options.batch_size = 15;
  const TrainReport one_card = single_gpu::train(options, World());
  options.batch_size = 5;
  options.gpus = 3;
  options.data_parallel.steps = "student";
  expect_losses(data_parallel::train(options, World()), one_card, otherwise);
}

grading::Lab lab() {
  const Misconception cut{"cut", "each card takes its part of the rows", kCut};
  const Misconception pays{"pays", "a piece is copied to its card", kPays};
  const Misconception join{"join", "pieces are joined on the output card", kGather};
  const Misconception leaf{"leaf", "the gathered logits are a plain copy", kLeaf};
  return {1,
          "scatter_gather",
          "Scatter and gather",
          {{"cut", "scatter cuts any batch for any cards as Tensor.chunk does", 2, cut,
            &look_at_cuts},
           {"bytes", "each card pays for its own piece, and for nothing else", 2, pays,
            &look_at_bytes},
           {"rows", "gather joins pieces of any number of rows, in order", 1, join,
            &look_at_rows},
           {"place", "the rows are gathered on the card asked for, once", 2, join,
            &look_at_place},
           {"history", "what is gathered has no autograd history", 1, leaf,
            &look_at_history},
           {"training", "DataParallel trains on it with the losses of one card", 2, cut,
            &look_at_training}}};
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  return lockstep::grading::run_grader(lockstep::labs::lab(), argc, argv);
}
