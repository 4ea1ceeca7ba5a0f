// Random programs of collectives: right ones give what they give unchecked, and of one
// that is wrong on one rank all ranks say who and in what.
#include <gtest/gtest.h>

#include "tests/collective_programs.h"

namespace lockstep::fingerprint {
namespace {

class Checked : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Backends, Checked, testing::Values("gloo", "shm"));

// Ranks wait at once or late, each as it likes: who waits must not need one that has
// come to the next check meanwhile.
TEST_P(Checked, RightProgramsGiveTheSame) {
  std::minstd_rand random(17);
  for (int ranks = 1; ranks <= 5; ++ranks) {
    const Program program = random_program(random, ranks, 12);
    on_checked_ranks(
        ranks, GetParam(), shm::kTestTimeout, [&](GroupPtr& plain, GroupPtr& checked) {
          EXPECT_EQ(checked->backend_name(), plain->backend_name());
          EXPECT_EQ(checked->adds_in_place(), plain->adds_in_place());
          std::vector<std::vector<at::Tensor>> results;
          for (comm::ProcessGroup* group : {plain.get(), checked.get()}) {
            std::minstd_rand mine(static_cast<unsigned>(group->rank() + 1));
            results.emplace_back(program.size());
            std::vector<comm::Work> under_way;
            for (size_t i = 0; i < program.size(); ++i) {
              under_way.push_back(start(*group, program[i], results.back()[i]));
              if (mine() % 2 == 0) under_way.back().wait();
            }
            for (comm::Work& work : under_way) work.wait();
          }
          for (size_t i = 0; i < program.size(); ++i) {
            EXPECT_TRUE(results[0][i].equal(results[1][i])) << program[i].kind;
          }
        });
  }
}

struct Mistake {
  const char* name;
  const char* differ;  // "they differ in <this>"; empty: in whatever
  std::function<void(Call& call, int ranks)> make;
};

const Mistake kMistakes[] = {
    {"kind", "the collective",
     [](Call& call, int) {
       call.kind = call.kind == "all_gather" ? "all_reduce" : "all_gather";
     }},
    {"sizes", "the sizes",
     [](Call& call, int) {
       if (call.kind == "barrier") call.kind = "mean";
       ++call.elements;
     }},
    {"type", "the type",
     [](Call& call, int) {
       call.type = call.type == at::kFloat ? at::kDouble : at::kFloat;
     }},
    {"root", "the root",
     [](Call& call, int ranks) { call.root = (call.root + 1) % ranks; }},
    {"reduction", "the reduction",
     [](Call& call, int) { call.kind = call.kind == "mean" ? "all_reduce" : "mean"; }},
};

// Where a mistake can be made at all.
void suit(const std::string& mistake, Call& call, std::minstd_rand& random) {
  const bool heads = random() % 2 == 0;
  if (mistake == "root") call.kind = heads ? "reduce" : "broadcast";
  if (mistake == "reduction") call.kind = heads ? "mean" : "all_reduce";
  if ((mistake == "type" || mistake == "sizes") && call.kind == "barrier") {
    call.kind = "reduce_scatter";
  }
}

// All have the same words, of the collective `number`, naming the rank.
void expect_all_name(const std::vector<std::string>& says, int rank, size_t number,
                     const std::string& differ) {
  const std::string& text = says[0];
  for (const std::string& other : says) EXPECT_EQ(other, text);
  EXPECT_EQ(text.rfind("the ranks' collective " + std::to_string(number) + ": ", 0), 0u)
      << text;
  const std::string name = "rank " + std::to_string(rank) + " calls ";
  EXPECT_NE(text.find(name), std::string::npos) << text;
  // Of three and more ranks it alone is named.
  if (says.size() > 2) EXPECT_NE(text.find(": " + name), std::string::npos) << text;
  if (says.size() > 2) EXPECT_NE(text.find(", the others "), std::string::npos) << text;
  EXPECT_NE(text.find("; they differ in " + differ), std::string::npos) << text;
}

TEST_P(Checked, AllRanksNameTheOneThatDiffers) {
  std::minstd_rand random(5);
  for (const Mistake& mistake : kMistakes) {
    for (int ranks = 2; ranks <= 5; ++ranks) {
      const auto whose = static_cast<int>(random() % static_cast<unsigned>(ranks));
      Program right = random_program(random, ranks, 8);
      const size_t where = random() % right.size();
      suit(mistake.name, right[where], random);
      std::vector<Program> programs(static_cast<size_t>(ranks), right);
      mistake.make(programs[static_cast<size_t>(whose)][where], ranks);
      SCOPED_TRACE(std::string(mistake.name) + ", rank " + std::to_string(whose) +
                   " of " + std::to_string(ranks));
      expect_all_name(complaints(programs, GetParam(), shm::kTestTimeout), whose,
                      where + 1, mistake.differ);
    }
  }
}

TEST_P(Checked, AnotherOrderIsNamed) {
  std::minstd_rand random(7);
  for (int ranks = 2; ranks <= 5; ++ranks) {
    const auto whose = static_cast<size_t>(random() % static_cast<unsigned>(ranks));
    const Program right = random_program(random, ranks, 6);
    const size_t where = random() % (right.size() - 1);
    std::vector<Program> swapped(static_cast<size_t>(ranks), right);
    std::swap(swapped[whose][where], swapped[whose][where + 1]);
    std::vector<Program> missing(static_cast<size_t>(ranks), right);
    missing[whose].erase(missing[whose].begin() + static_cast<int64_t>(where));
    std::vector<Program> too_many(static_cast<size_t>(ranks), right);
    too_many[whose].insert(too_many[whose].begin() + static_cast<int64_t>(where),
                           {"mean", 1000, at::kFloat, 0});
    for (const auto& programs : {swapped, missing, too_many}) {
      expect_all_name(complaints(programs, GetParam(), shm::kTestTimeout),
                      static_cast<int>(whose), where + 1, "");
    }
  }
}

}  // namespace
}  // namespace lockstep::fingerprint
