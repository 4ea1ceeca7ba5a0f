#include "labs/02_reduce/tree_check.h"

#include <algorithm>

#include "grading/check.h"
#include "labs/02_reduce/numbered_gradients.h"
#include "labs/graders/ledger_watch.h"
#include "labs/graders/listed.h"

namespace lockstep::labs {
namespace {

using grading::Misconception;
using grading::Refused;

constexpr char kNone[] = "2_data_parallel.md#no-gradient";
constexpr char kOne[] = "2_data_parallel.md#one-at-a-time";
constexpr char kTree[] = "2_data_parallel.md#tree";

// How often each card of a tree receives: card 0 in each of its turns.
std::vector<size_t> turns_of(size_t count) {
  std::vector<size_t> turns(count);
  for (size_t turn = 1; turn < count; turn *= 2) {
    for (size_t to = 0; to + turn < count; to += 2 * turn) ++turns[to];
  }
  return turns;
}

// Undefined on the primary card; on a card that receives and is received from; on
// cards that only give; everywhere.
void look_at_undefined_in_tree() {
  const std::vector<Card> cards = device::make_cards("cpu", 4, 1);
  const std::vector<std::vector<size_t>> having = {{1, 2, 3}, {0, 1, 3}, {0, 2}, {}};
  const auto replicas = parameters_on(cards, {4, 4, 4, 4});
  for (size_t i = 0; i < having.size(); ++i) {
    for (const size_t r : having[i]) give_gradient(replicas[r], r, i, cards[r]);
  }
  reduce(Way::tree, replicas, cards);
  for (size_t i = 0; i < having.size(); ++i) {
    double wanted = 0;
    for (const size_t r : having[i]) wanted += std::ldexp(1, static_cast<int>(r));
    const bool defined = replicas[0][i].grad().defined();
    if (having[i].empty() ? !defined : value_of(replicas[0][i]) == wanted) continue;
    throw Refused({"none_in_tree",
                   "in a tree, too, an undefined gradient adds none, and becomes what "
                   "arrives; where nobody has one there is none",
                   kNone},
                  "4 cards, gradients on " + listed(having[i]) +
                      " alone: the primary card's "
                      "became " +
                      (defined ? shown(value_of(replicas[0][i])) : "none") + ", not " +
                      (having[i].empty() ? "none" : shown(wanted)));
  }
}

}  // namespace

void look_at_tree() {
  for (const int count : {2, 4, 8, 1, 3, 5, 6, 7}) {
    const std::vector<Card> cards = device::make_cards("cpu", count, 1);
    const auto replicas = replicas_on(cards, {16});
    const LedgerWatch watch(cards);
    reduce(Way::tree, replicas, cards);
    const double found = value_of(replicas[0][0]);
    const double wanted = std::ldexp(1, count) - 1;
    if (found != wanted) {
      const bool all_have_partners = (count & (count - 1)) == 0;
      throw Refused(
          all_have_partners
              ? Misconception{"tree_sum",
                              "a tree adds what serial does: each replica's gradient "
                              "is in the sum once",
                              kTree}
              : Misconception{"odd_card_lost",
                              "where a card has no partner in a turn its sum goes on "
                              "as "
                              "it is, and is added in a later one",
                              kTree},
          of_replicas(cards.size(), found, wanted));
    }
    std::vector<size_t> turns;
    for (size_t card = 0; card < cards.size(); ++card) {
      turns.push_back(watch.arrivals(card).size());
    }
    if (turns == turns_of(cards.size())) continue;
    if (std::count(turns.begin(), turns.end(), 0U) == count) {
      throw Refused(
          {"added_across_cards",
           "a card adds what lies on it; what it receives is put on it first, "
           "by cards[c].put(grad)",
           kOne},
          std::to_string(count) + " cards: no gradient was put on any card");
    }
    const bool serial = turns[0] + 1 == cards.size();
    throw Refused({serial ? "serial_for_tree" : "chain_for_tree",
                   "a tree takes log2(N) turns, in each of which pairs of cards add "
                   "side by side; "
                   "N - 1 additions that wait for each other are none",
                   kTree},
                  std::to_string(count) + " cards received " + listed(turns) +
                      " times, not " + listed(turns_of(cards.size())));
  }
  look_at_undefined_in_tree();
}

}  // namespace lockstep::labs
