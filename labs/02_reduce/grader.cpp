// Lab 2: replicas whose gradients tell which of them are in a sum, and what arrives on
// each card meanwhile.
#include "grading/grader.h"

#include <ATen/ATen.h>

#include <numeric>
#include <random>
#include <sstream>

#include "data_parallel/train.h"
#include "device/ledger_allocator.h"
#include "labs/02_reduce/numbered_gradients.h"
#include "labs/02_reduce/tree_check.h"
#include "labs/graders/ledger_watch.h"
#include "labs/graders/listed.h"
#include "labs/graders/small_run.h"
#include "labs/reduce_to_primary.h"
#include "single_gpu/train.h"

namespace lockstep::labs {
namespace {

using grading::Misconception;
using grading::Refused;

constexpr char kSum[] = "2_data_parallel.md#sum-not-mean";
constexpr char kGrows[] = "2_data_parallel.md#grows";
constexpr char kNone[] = "2_data_parallel.md#no-gradient";
constexpr char kOne[] = "2_data_parallel.md#one-at-a-time";
constexpr char kType[] = "2_data_parallel.md#same-type";
constexpr char kTree[] = "2_data_parallel.md#tree";

void expect_sum(double found, size_t count) {
  const double wanted = std::ldexp(1, static_cast<int>(count)) - 1;
  if (found == wanted) return;
  const std::string saw = of_replicas(count, found, wanted);
  if (std::abs(found * static_cast<double>(count) - wanted) < 1e-9) {
    throw Refused({"mean_for_sum",
                   "the loss is the mean over the whole batch already; the replicas' "
                   "gradients are its parts, and parts are added",
                   kSum},
                  saw);
  }
  if (found == wanted - 1) {
    throw Refused({"own_share_lost",
                   "the primary card's own gradient is one of the parts; what arrives "
                   "is added to it",
                   kGrows},
                  saw);
  }
  throw Refused({"replica_lost", "each replica's gradient is in the sum, once", kSum},
                saw);
}

void look_at_sum(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int count = 1; count <= 8; ++count) {
    const std::vector<Card> cards = device::make_cards("cpu", count, 1);
    const auto size = [&] { return static_cast<int64_t>(1 + random() % 20); };
    const std::vector<Tensors> replicas = replicas_on(cards, {size(), size(), size()});
    reduce(Way::serial, replicas, cards);
    for (const at::Tensor& parameter : replicas[0]) {
      expect_sum(value_of(parameter), cards.size());
    }
  }
}

void look_at_type(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const auto type : {at::kFloat, at::kDouble}) {
    const std::vector<Card> cards = device::make_cards("cpu", 4, 1);
    const auto replicas = parameters_on(cards, {100}, type);
    at::Tensor wanted = at::zeros({100}, at::kDouble);
    for (size_t r = 0; r < cards.size(); ++r) {
      const CardScope scope(cards[r]);
      const at::Tensor grad =
          at::randn({100}, at::detail::createCPUGenerator(random()), type).mul_(1e-5);
      replicas[r][0].mutable_grad() = grad;
      wanted += grad.to(at::kDouble);
    }
    reduce(Way::serial, replicas, cards);
    const at::Tensor found = replicas[0][0].grad().to(at::kDouble);
    const double off = ((found - wanted).norm() / wanted.norm()).item<double>();
    const double most = type == at::kFloat ? 1e-6 : 1e-14;
    if (off <= most) continue;
    std::ostringstream saw;
    saw << "gradients of " << (type == at::kFloat ? "fp32" : "fp64")
        << ", some 1e-5 large: their sum is off by " << off << ", not at most " << most;
    throw Refused({"lossy_sum",
                   "gradients are moved and added in their own type; a narrower one "
                   "loses the small ones",
                   kType},
                  saw.str());
  }
}

void look_at_none(uint64_t /*seed*/) {
  const std::vector<Card> cards = device::make_cards("cpu", 3, 1);
  const auto replicas = parameters_on(cards, {4, 4, 4});
  // Of the first the primary card has none, of the second replica 1, of the third
  // nobody has one.
  for (const size_t r : {1, 2}) give_gradient(replicas[r], r, 0, cards[r]);
  for (const size_t r : {0, 2}) give_gradient(replicas[r], r, 1, cards[r]);
  reduce(Way::serial, replicas, cards);
  if (replicas[0][2].grad().defined()) {
    throw Refused({"zeros_for_none",
                   "where no replica has a gradient there is none; zeros would let the "
                   "optimizer move the parameter",
                   kNone},
                  "no replica has a gradient, and the primary card's became " +
                      shown(value_of(replicas[0][2])));
  }
  for (const size_t i : {0, 1}) {
    const double found = value_of(replicas[0][i]);
    const double wanted = i == 0 ? 2 + 4 : 1 + 4;
    if (found == wanted) continue;
    throw Refused({i == 0 ? "lost_where_primary_has_none" : "wrong_where_one_has_none",
                   "a replica without a gradient adds none; where the primary card has "
                   "none, its gradient becomes what arrives",
                   kNone},
                  std::string(i == 0 ? "replica 0" : "replica 1") +
                      " has no gradient, the others do: the primary card's became " +
                      shown(found) + ", not " + shown(wanted));
  }
}

void look_at_memory(uint64_t /*seed*/) {
  const std::vector<Card> cards = device::make_cards("cpu", 3, 1);
  const auto replicas = parameters_on(cards, {8, 8});
  for (const size_t r : {0, 1, 2}) give_gradient(replicas[r], r, 0, cards[r]);
  for (const size_t r : {1, 2}) give_gradient(replicas[r], r, 1, cards[r]);
  reduce(Way::serial, replicas, cards);
  for (const size_t r : {1, 2}) {
    for (const size_t i : {0, 1}) {
      const at::Tensor& sum = replicas[0][i].grad();
      if (!sum.defined()) {
        throw Refused({"sum_elsewhere",
                       "the sum lies on the primary card: what arrives is put on "
                       "cards[0], and added in place",
                       kGrows},
                      "the primary card has no gradient, and others have");
      }
      const at::Tensor& grad = replicas[r][i].grad();
      const std::string replica = "replica " + std::to_string(r);
      if (grad.defined() && sum.is_alias_of(grad)) {
        throw Refused({"alias_of_replica",
                       "the primary card's gradient is memory of its own; a replica's "
                       "under another name changes with the replica",
                       kGrows},
                      "the primary card's gradient lies in " + replica + "'s memory");
      }
      if (device::card_of(sum) != cards[0].index()) {
        const int on = device::card_of(sum).value_or(device::kHost);
        throw Refused({"sum_elsewhere",
                       "the sum lies on the primary card: what arrives is put on "
                       "cards[0], and added in place",
                       kGrows},
                      "the primary card's gradient lies on " +
                          (on == device::kHost ? "no card" : cards[on].name()) +
                          ", not on " + cards[0].name());
      }
      const double wanted = std::ldexp(1, static_cast<int>(r));
      if (value_of(replicas[r][i]) == wanted) continue;
      throw Refused({"replica_changed",
                     "serial reduce reads the replicas' gradients; nothing but the "
                     "primary card's changes",
                     kGrows},
                    replica + "'s gradient of " + shown(wanted) + " became " +
                        shown(value_of(replicas[r][i])));
    }
  }
}

void look_at_one_at_a_time(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const int count : {2, 5}) {
    const std::vector<Card> cards = device::make_cards("cpu", count, 1);
    const auto large = static_cast<int64_t>(600 + random() % 300);
    const auto replicas = replicas_on(cards, {200, large, 500});
    const LedgerWatch watch(cards);
    reduce(Way::serial, replicas, cards);
    const int64_t all = (count - 1) * (200 + large + 500) * 8;
    const int64_t arrived =
        std::accumulate(watch.arrivals(0).begin(), watch.arrivals(0).end(), int64_t{0});
    if (arrived < all) {
      throw Refused({"added_across_cards",
                     "a card adds what lies on it; each gradient is moved to the "
                     "primary card first, by cards[0].put(grad)",
                     kOne},
                    std::to_string(arrived) + " bytes of gradients arrived on " +
                        cards[0].name() + ", not " + std::to_string(all));
    }
    if (watch.peak(0) > large * 8) {
      throw Refused({"all_at_once",
                     "a gradient that was fetched is added and forgotten before the "
                     "next is fetched",
                     kOne},
                    "beside its own gradients " + cards[0].name() + " held " +
                        std::to_string(watch.peak(0)) + " bytes, not at most " +
                        std::to_string(large * 8) + ", the largest gradient");
    }
  }
}

void look_at_training(uint64_t seed) {
  add_student_reductions();
  TrainOptions options = small_run(seed, 40);
  options.batch_size = 12;
  const TrainReport one_card = single_gpu::train(options, World());
  for (const int cards : {3, 4}) {
    options.gpus = cards;
    options.batch_size = 12 / cards;
    options.data_parallel.reduce = cards == 3 ? "student-serial" : "student-tree";
    expect_losses(data_parallel::train(options, World()), one_card,
                  {"not_one_cards_losses",
                   "with the sum of its replicas' gradients the primary card takes the "
                   "step that one card takes",
                   kSum});
  }
}

grading::Lab lab() {
  const Misconception sum{"sum", "the primary card's gradient is the sum of all", kSum};
  const Misconception none{"none", "a gradient may be undefined; it adds none", kNone};
  const Misconception grows{"grows", "the primary card's gradient grows", kGrows};
  const Misconception one{"one", "gradients are moved one at a time", kOne};
  const Misconception type{"type", "gradients are added in their own type", kType};
  const Misconception tree{"tree", "cards add in pairs, side by side", kTree};
  return {2,
          "reduce",
          "Reduce to the primary card",
          {{"sum", "the primary card has the sum of all replicas' gradients", 2, sum,
            &look_at_sum},
           {"type", "no digit of a gradient is lost", 1, type, &look_at_type},
           {"none", "a replica without a gradient adds none", 1, none, &look_at_none},
           {"memory", "the sum has memory of its own; nothing else changes", 1, grows,
            &look_at_memory},
           {"one_at_a_time", "beside its own the primary card holds one gradient", 2,
            one, &look_at_one_at_a_time},
           {"tree", "the tree has the same sums in log2(N) turns", 2, tree,
            [](uint64_t) { look_at_tree(); }},
           {"training", "DataParallel trains on both with the losses of one card", 1,
            sum, &look_at_training}}};
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  return lockstep::grading::run_grader(lockstep::labs::lab(), argc, argv);
}
