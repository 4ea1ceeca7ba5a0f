// The grader of lab 7. Rank r brings 64^r, so that each digit of a sum says how often a
// rank is in it; the messages are those that the ranks really sent, the time is the
// virtual clock's.
#include "grading/grader.h"

#include <ATen/ATen.h>

#include <cmath>
#include <random>

#include "labs/07_ring/diagnosis.h"
#include "labs/07_ring/ring_checks.h"
#include "labs/graders/listed.h"
#include "labs/ring.h"
#include "simulator/simulation.h"

namespace lockstep::labs {

using grading::Misconception;
using grading::Refused;

Registry<RingAllReduce>& ring_all_reduces() {
  static Registry<RingAllReduce> known("all-reduce", {});
  return known;
}

namespace {

const Misconception kPieces = {
    "another_piece", "in step s a rank sends piece rank - s and adds to rank - s - 1",
    "3_ddp.md#the-ring"};
const Misconception kSendFirst = {"send_before_receive",
                                  "a send may last until the other side receives",
                                  "3_ddp.md#send-and-receive"};
const Misconception kWait = {
    "not_waited", "what a recv brings is there after its wait()", "3_ddp.md#wait"};
const Misconception kSendWait = {
    "send_not_waited",
    "a send reads its piece until its wait() returned; who leaves before may send "
    "nothing, or something else",
    "3_ddp.md#wait"};
const Misconception kNeighbour = {
    "wrong_neighbour", "a rank receives from the one before it, not from the next",
    "3_ddp.md#ring-neighbours"};
const Misconception kAnySize = {
    "last_elements_lost", "pieces may differ in size, and all elements are in one",
    "3_ddp.md#ring-pieces"};
const Misconception kBits = {"own_order",
                             "one rank adds a piece up; the others take what it got",
                             "3_ddp.md#ring-bits"};
const Misconception kBytes = {"whole_tensor_each_step",
                              "a message is one piece of n, 2(n-1) of them a rank",
                              "3_ddp.md#ring-bytes"};
const Misconception kRound = {"not_a_ring",
                              "each rank sends to the next one and to nobody else",
                              "3_ddp.md#ring-neighbours"};
const Misconception kTime = {"takes_turns",
                             "all ranks send and receive in every step, at once",
                             "3_ddp.md#send-and-receive"};
const Misconception kShape = {
    "flat_only", "what trains has gradients of any shape; view({-1}) is a line of each",
    "3_ddp.md#ring-pieces"};

// A card a host: 1 ms a message, and 1 us a byte.
constexpr double kLatency = 1e-3, kBytesPerSecond = 1e6;

struct Run {
  std::vector<at::Tensor> results;  // of each rank
  std::vector<std::vector<MessagesOnly::Message>> sent;
  double seconds = 0;
  int sends_not_waited_for = 0;
};

using Brings = std::function<at::Tensor(int rank)>;

Run run_ring(int ranks, uint64_t seed, const Brings& brings) {
  predict::Cluster cluster;
  cluster.cards_per_host = 1;
  cluster.between = {kLatency, kBytesPerSecond};
  simulator::Simulation simulation(ranks, cluster, seed);
  Run run;
  run.results.resize(static_cast<size_t>(ranks));
  run.sent.resize(static_cast<size_t>(ranks));
  try {
    simulation.run([&](simulator::Rank& rank) {
      const auto messages = c10::make_intrusive<MessagesOnly>(rank.group().backend());
      comm::ProcessGroup group(messages);
      const auto self = static_cast<size_t>(rank.rank());
      run.results[self] = brings(rank.rank());
      ring_all_reduces().at("student")(run.results[self], group);
      run.sent[self] = messages->sent();
      run.sends_not_waited_for += messages->not_waited_for();
    });
  } catch (const simulator::Deadlock& error) {
    // With two ranks the next one is the one before.
    throw Refused(ranks > 2 ? kNeighbour : kSendFirst,
                  std::to_string(ranks) + " ranks: " + error.what());
  } catch (const simulator::Mismatch& error) {
    throw Refused(kPieces, std::to_string(ranks) + " ranks: " + error.what());
  }
  run.seconds = simulation.seconds();
  return run;
}

std::string head(int ranks, int64_t elements) {
  return std::to_string(ranks) + " ranks, " + std::to_string(elements) + " elements: ";
}

void expect_sums(int ranks, int64_t elements, uint64_t seed,
                 const Misconception& otherwise) {
  const Run counts = run_ring(ranks, seed, [&](int rank) {
    return at::full({elements}, std::pow(64, rank), at::kDouble);
  });
  for (int rank = 0; rank < ranks; ++rank) {
    const at::Tensor& result = counts.results[static_cast<size_t>(rank)];
    for (int64_t i = 0; i < elements; ++i) {
      const auto sum = result[i].item<double>();
      const std::string which = head(ranks, elements) + "element " + std::to_string(i) +
                                " on rank " + std::to_string(rank);
      if (std::isnan(sum)) throw Refused(kWait, which + " was read before it came");
      std::vector<int> held;
      bool whole = true;
      for (int r = 0; r < ranks; ++r) {
        const int count = times(sum, r);
        whole = whole && count == 1;
        held.insert(held.end(), static_cast<size_t>(count), r);
      }
      if (whole) continue;
      throw Refused(diagnosis(counts.results, otherwise),
                    which + " is the sum of ranks " + listed(held) + "; each of " +
                        std::to_string(ranks) + " should be in it once");
    }
  }
  if (counts.sends_not_waited_for > 0) {
    throw Refused(kSendWait, head(ranks, elements) +
                                 std::to_string(counts.sends_not_waited_for) +
                                 " sends were started and not waited for");
  }
  // The right numbers of ranks, and in their places?
  const auto numbers = [&](int rank) {
    return at::arange(elements, at::kDouble) * (rank + 1);
  };
  const at::Tensor sum = numbers(ranks * (ranks + 1) / 2 - 1);
  for (const at::Tensor& result : run_ring(ranks, seed, numbers).results) {
    if (at::equal(result, sum)) continue;
    throw Refused(otherwise, head(ranks, elements) + "sums stand in others' places");
  }
}

void check_two(uint64_t seed) {
  expect_sums(1, 6, seed, kPieces);
  expect_sums(2, 6, seed, kPieces);
}

void check_ranks(uint64_t seed) {
  for (int ranks = 3; ranks <= 8; ++ranks) expect_sums(ranks, 2 * ranks, seed, kPieces);
}

void check_sizes(uint64_t seed) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  for (const int ranks : {2, 3, 4, 7}) {
    for (const int64_t elements : {ranks * 5 + 1, ranks * 3 - 1, ranks - 1, 1, 0}) {
      expect_sums(ranks, elements, seed, kAnySize);
    }
    expect_sums(ranks, static_cast<int64_t>(50 + random() % 100), seed, kAnySize);
  }
}

void check_bits(uint64_t seed) {
  for (const int ranks : {3, 5, 8}) {
    const Run run = run_ring(ranks, seed, [&](int rank) {
      at::Generator random = at::detail::createCPUGenerator(seed + 100 * rank);
      return at::randn({1000}, random, at::TensorOptions(at::kFloat));
    });
    for (const at::Tensor& result : run.results) {
      const auto different = run.results[0].ne(result).sum().item<int64_t>();
      if (different == 0) continue;
      throw Refused(kBits, head(ranks, 1000) + std::to_string(different) +
                               " sums differ between two ranks, in their last bits");
    }
  }
}

// 840 divides by every number up to 8.
constexpr int64_t kElements = 840, kTotalBytes = 8 * kElements;

Run run_on_ones(int ranks, uint64_t seed) {
  return run_ring(ranks, seed, [](int) { return at::ones({kElements}, at::kDouble); });
}

void check_messages(uint64_t seed) {
  for (int ranks = 2; ranks <= 8; ++ranks) {
    const size_t messages = 2 * (static_cast<size_t>(ranks) - 1);
    const int64_t bytes = 2 * (ranks - 1) * kTotalBytes / ranks;
    const Run run = run_on_ones(ranks, seed);
    for (size_t rank = 0; rank < run.sent.size(); ++rank) {
      int64_t sent = 0;
      for (const auto& message : run.sent[rank]) sent += message.bytes;
      if (run.sent[rank].size() == messages && sent == bytes) continue;
      throw Refused(kBytes, head(ranks, kElements) + "rank " + std::to_string(rank) +
                                " sends " + std::to_string(run.sent[rank].size()) +
                                " messages of " + std::to_string(sent) +
                                " bytes in all, not " + std::to_string(messages) +
                                " of " + std::to_string(bytes));
    }
  }
}

void check_neighbours(uint64_t seed) {
  for (int ranks = 3; ranks <= 8; ++ranks) {
    const Run run = run_on_ones(ranks, seed);
    for (int rank = 0; rank < ranks; ++rank) {
      const auto& sent = run.sent[static_cast<size_t>(rank)];
      if (sent.empty()) {
        throw Refused(kRound, head(ranks, kElements) + "rank " + std::to_string(rank) +
                                  " sends nothing");
      }
      for (const auto& message : sent) {
        if (message.to == (rank + 1) % ranks) continue;
        throw Refused(kRound, head(ranks, kElements) + "rank " + std::to_string(rank) +
                                  " sends to rank " + std::to_string(message.to));
      }
    }
  }
}

void check_time(uint64_t seed) {
  for (int ranks = 2; ranks <= 8; ++ranks) {
    const double wanted =
        2 * (ranks - 1) * (kLatency + kTotalBytes / kBytesPerSecond / ranks);
    const double took = run_on_ones(ranks, seed).seconds;
    if (std::abs(took - wanted) <= 0.01 * wanted) continue;
    throw Refused(took > wanted ? kTime : kBytes,
                  head(ranks, kElements) + "it takes " + std::to_string(1e3 * took) +
                      " ms where a message costs " + "1 ms and 1 us a byte, not " +
                      std::to_string(1e3 * wanted) + " ms");
  }
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  using namespace lockstep::labs;
  lockstep::grading::Lab lab{7, "ring", "Ring all-reduce", {}};
  lab.checks = {
      {"two_ranks", "the sum is on both of two ranks", 2, kPieces, &check_two},
      {"more_ranks", "the sum is on every rank, of three to eight", 3, kPieces,
       &check_ranks},
      {"any_size", "of any number of elements, fewer than ranks too", 2, kAnySize,
       &check_sizes},
      {"same_bits", "every rank has the same bits", 2, kBits, &check_bits},
      {"messages", "a rank sends 2(n-1) pieces, 2(n-1)/n of the bytes", 2, kBytes,
       &check_messages},
      {"neighbours", "a rank sends to the next one only", 1, kRound, &check_neighbours},
      {"time", "it takes 2(n-1) messages of a piece, and no longer", 1, kTime,
       &check_time},
      {"training", "three ranks train by it, with one card's losses", 2, kShape,
       &check_ring_training, 1, std::chrono::seconds(10)}};
  return lockstep::grading::run_grader(lab, argc, argv);
}
