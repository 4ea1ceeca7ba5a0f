// The grader of lab 9. Ranks are threads, each with a mapping of its own of the memory
// that our own all-reduce uses. Points are for being right; how fast it is beside ours
// is printed.
#include "grading/grader.h"

#include <sched.h>

#include <chrono>
#include <random>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "labs/09_faster/shared_ranks.h"

namespace lockstep::labs {

using grading::Misconception;
using grading::Refused;

Registry<SharedAllReduce>& shared_all_reduces() {
  static Registry<SharedAllReduce> known("all-reduce", {});
  return known;
}

namespace {

const std::string kRead = "3_ddp.md#shared-memory";
const Misconception kSums = {
    "another_sum", "every rank's numbers are added up, each once, over all elements",
    kRead};
const Misconception kBits = {"own_order",
                             "one rank adds an element up; the others copy it",
                             "3_ddp.md#ring-bits"};
const Misconception kAgain = {
    "left_early", "who returns early changes what others still read, or next read",
    kRead};
const Misconception kCrowded = {
    "spins", "who waits on a core that others need keeps them from coming", kRead};

// Small whole numbers: exact in any order.
float brings(int rank, int64_t i, int call) {
  return static_cast<float>((rank + 1) * (1 + call % 5) + i % 7);
}
float sum_of(int ranks, int64_t i, int call) {
  return static_cast<float>(ranks * (ranks + 1) / 2 * (1 + call % 5) + ranks * (i % 7));
}

// One call on the rank's own numbers; what is wrong with the sums, in words.
std::string call_once(SharedNumbers& shared, int64_t elements, int call) {
  float* own = shared.numbers[static_cast<size_t>(shared.rank)];
  for (int64_t i = 0; i < elements; ++i) own[i] = brings(shared.rank, i, call);
  shared.elements = elements;
  shared_all_reduces().at("student")(shared);
  std::string wrong;
  for (int64_t i = 0; i < elements && wrong.empty(); ++i) {
    if (own[i] == sum_of(shared.size, i, call)) continue;
    wrong = std::to_string(shared.size) + " ranks, " + std::to_string(elements) +
            " elements, call " + std::to_string(call) + ": element " +
            std::to_string(i) + " on rank " + std::to_string(shared.rank) + " is " +
            std::to_string(own[i]) + ", not " +
            std::to_string(sum_of(shared.size, i, call));
  }
  // They are this rank's own again.
  std::fill_n(own, elements, -1e6f);
  return wrong;
}

void refuse(const std::string& wrong, const Misconception& misconception) {
  if (!wrong.empty()) throw Refused(misconception, wrong);
}

void check_sums(uint64_t seed) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  const auto any = static_cast<int64_t>(1000 + random() % 9000);
  for (const int ranks : {1, 2, 3, 8}) {
    for (const int64_t elements : {int64_t{1}, int64_t{1000}, any, int64_t{70001}}) {
      refuse(on_ranks(
                 ranks,
                 [&](SharedNumbers& shared) { return call_once(shared, elements, 0); }),
             kSums);
    }
  }
}

void check_bits(uint64_t seed) {
  constexpr int64_t kElements = 5000;
  for (const int ranks : {3, 4}) {
    std::vector<std::vector<float>> sums(static_cast<size_t>(ranks));
    on_ranks(ranks, [&](SharedNumbers& shared) {
      const auto self = static_cast<size_t>(shared.rank);
      std::minstd_rand random(static_cast<unsigned>(seed + self));
      std::normal_distribution<float> normal;
      float* own = shared.numbers[self];
      std::generate_n(own, kElements, [&] { return normal(random); });
      shared.elements = kElements;
      shared_all_reduces().at("student")(shared);
      sums[self].assign(own, own + kElements);
      return "";
    });
    for (const auto& other : sums) {
      const auto at = std::mismatch(sums[0].begin(), sums[0].end(), other.begin());
      if (at.first == sums[0].end()) continue;
      throw Refused(kBits, std::to_string(ranks) + " ranks: element " +
                               std::to_string(at.first - sums[0].begin()) +
                               " differs between two ranks, in its last bits");
    }
  }
}

// Calls that follow at once, of other sizes, by ranks that are now and then late.
std::string one_after_the_other(int ranks, int calls, uint64_t seed) {
  return on_ranks(ranks, [&](SharedNumbers& shared) {
    std::minstd_rand same(static_cast<unsigned>(seed));
    std::minstd_rand own(static_cast<unsigned>(seed + 1) +
                         static_cast<unsigned>(shared.rank));
    std::string wrong;
    for (int call = 0; call < calls; ++call) {
      const auto elements = static_cast<int64_t>(1 + same() % 5000);
      if (own() % 4 == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(own() % 300));
      }
      const std::string now = call_once(shared, elements, call);
      if (wrong.empty()) wrong = now;
    }
    return wrong;
  });
}

void check_again(uint64_t seed) {
  refuse(one_after_the_other(2, 60, seed), kAgain);
  // More ranks than cores on a laptop; few calls, for those who wait badly there.
  refuse(one_after_the_other(4, 10, seed), kAgain);
}

// Eight ranks on one core: who only looks again and again uses up its turn.
void check_crowded(uint64_t /*seed*/) {
  refuse(on_ranks(8,
                  [&](SharedNumbers& shared) {
                    cpu_set_t cores;
                    sched_getaffinity(0, sizeof cores, &cores);
                    int first = 0;
                    while (!CPU_ISSET(first, &cores)) ++first;
                    CPU_ZERO(&cores);
                    CPU_SET(first, &cores);
                    sched_setaffinity(0, sizeof cores, &cores);
                    std::string wrong;
                    for (int call = 0; call < 400; ++call) {
                      const std::string now = call_once(shared, 100, call);
                      if (wrong.empty()) wrong = now;
                    }
                    return wrong;
                  }),
         kSums);
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  using namespace lockstep::labs;
  lockstep::grading::Lab lab{9, "faster", "Beat our all-reduce", {}};
  lab.checks = {
      {"sums", "every rank holds the sum, of any size, on one to eight ranks", 1, kSums,
       &check_sums},
      {"same_bits", "every rank has the same bits", 1, kBits, &check_bits},
      {"again", "one call after the other, five times", 1, kAgain, &check_again, 5},
      {"crowded", "eight ranks on one core take 400 calls in no time", 2, kCrowded,
       &check_crowded, 1, std::chrono::seconds(4)},
      {"speed", "its time over ours: no points, but honour", 0, kSums,
       [](uint64_t) { print_speed(); }}};
  return lockstep::grading::run_grader(lab, argc, argv);
}
