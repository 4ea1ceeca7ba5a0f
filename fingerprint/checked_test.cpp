// Random programs of collectives on ranks that are threads: right ones give what they
// give unchecked, and of one that is wrong on one rank all ranks say who and in what.
#include "fingerprint/checked.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <random>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "shm/thread_groups.h"
#include "tests/error_of.h"

namespace lockstep::fingerprint {
namespace {

using shm::GroupPtr;
using std::chrono::milliseconds;

constexpr milliseconds kSoon{300};
constexpr const char* kKinds[] = {"all_reduce",     "mean",      "reduce", "all_gather",
                                  "reduce_scatter", "broadcast", "barrier"};

struct Call {
  std::string kind;
  int64_t elements = 1;
  at::ScalarType type = at::kFloat;
  int root = 0;
};
using Program = std::vector<Call>;

// No two calls of it are alike.
Program random_program(std::minstd_rand& random, int ranks, int calls) {
  Program program;
  for (int i = 0; i < calls; ++i) {
    program.push_back({kKinds[random() % std::size(kKinds)],
                       static_cast<int64_t>(5 + 7 * i + random() % 7),
                       random() % 2 == 0 ? at::kFloat : at::kDouble,
                       static_cast<int>(random() % static_cast<unsigned>(ranks))});
    // Barriers are.
    if (i > 0 && program[i - 1].kind == "barrier") program[i].kind = "all_reduce";
  }
  return program;
}

// Started; `result` holds what the rank has of it after the wait.
comm::Work start(comm::ProcessGroup& group, const Call& call, at::Tensor& result) {
  const auto options = at::TensorOptions(call.type);
  const int ranks = group.size();
  const double seed = group.rank() + 1.25;
  result = torch::arange(call.elements, options) * seed;
  if (call.kind == "all_reduce") return group.all_reduce(result);
  if (call.kind == "mean") return group.all_reduce_mean(result);
  if (call.kind == "reduce") {
    const at::Tensor sum = result;
    if (group.rank() != call.root) result = torch::zeros({1});  // scratch elsewhere
    return group.reduce(sum, call.root);
  }
  if (call.kind == "all_gather") {
    const at::Tensor mine = result;
    result = torch::empty({ranks * call.elements}, options);
    return group.all_gather(result, mine);
  }
  if (call.kind == "reduce_scatter") {
    const at::Tensor all = torch::arange(ranks * call.elements, options) * seed;
    return group.reduce_scatter(result, all);
  }
  if (call.kind == "broadcast") {
    group.broadcast({result}, call.root);
  } else {
    group.barrier();
  }
  return {};
}

// Every rank a thread with its group and the same group checked, in `patience`.
void on_checked_ranks(
    int ranks, const std::string& backend, milliseconds patience,
    const std::function<void(GroupPtr& plain, GroupPtr& checked)>& work) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  const auto other = c10::make_intrusive<c10d::HashStore>();
  const auto make = [&](const auto& at, int rank) {
    return backend == "shm"
               ? shm::make_shm(at, rank, ranks, shm::kTestTimeout)
               : comm::make_gloo(at, rank, ranks, "127.0.0.1", shm::kTestTimeout);
  };
  shm::on_threads(ranks, [&](int rank) {
    GroupPtr plain = make(store, rank);
    GroupPtr wrapped = checked(*make(other, rank), other, patience);
    work(plain, wrapped);
  });
}

// What each rank's program says: "none" where it came to its end.
std::vector<std::string> complaints(const std::vector<Program>& of_ranks,
                                    const std::string& backend, milliseconds patience) {
  std::vector<std::string> says(of_ranks.size());
  on_checked_ranks(static_cast<int>(of_ranks.size()), backend, patience,
                   [&](GroupPtr&, GroupPtr& group) {
                     const auto rank = static_cast<size_t>(group->rank());
                     says[rank] = error_of([&] {
                       for (const Call& call : of_ranks[rank]) {
                         at::Tensor result;
                         start(*group, call, result).wait();
                       }
                     });
                   });
  return says;
}

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

// As where a rank's program ends before the others'.
TEST_P(Checked, WhoDoesNotComeIsNamedAfterTheTimeOut) {
  const Program right(3, Call{"all_reduce", 10});
  std::vector<Program> programs(4, right);
  programs[2].pop_back();
  const auto says = complaints(programs, GetParam(), kSoon);
  const std::string words =
      "the ranks' collective 3: waited 0.3 s for rank 2; ranks 0, 1, 3 call all_reduce "
      "of [10] Float, sum";
  EXPECT_EQ(says, (std::vector<std::string>{words, words, "none", words}));
}

TEST_P(Checked, WhoComesAloneSaysSo) {
  std::vector<Program> programs(3, Program(2, Call{"all_reduce", 10}));
  programs[1].push_back({"broadcast", 3, at::kDouble, 1});
  const auto says = complaints(programs, GetParam(), kSoon);
  EXPECT_EQ(says, (std::vector<std::string>{
                      "none",
                      "the ranks' collective 3: waited 0.3 s for ranks 0, 2; rank 1 "
                      "calls broadcast of [3] Double from root 1",
                      "none"}));
}

TEST_P(Checked, WhoCallsNothingAtAllPerhapsDoesNotCheck) {
  const auto says = complaints({{}, {{"barrier"}}}, GetParam(), kSoon);
  EXPECT_EQ(
      says[1],
      "the ranks' collective 1: waited 0.3 s for rank 0; rank 1 calls barrier; is "
      "--debug detail given to all ranks?");
}

TEST(CheckedGroup, TheAbsentAndTheWrongAreBothNamed) {
  const auto says = complaints(
      {{{"barrier"}, {"mean", 4}}, {{"barrier"}, {"mean", 5}}, {{"barrier"}}}, "gloo",
      kSoon);
  EXPECT_EQ(
      says[0],
      "the ranks' collective 2: waited 0.3 s for rank 2; rank 0 calls all_reduce of "
      "[4] Float, mean, rank 1 calls all_reduce of [5] Float, mean; they differ in "
      "the sizes");
  EXPECT_EQ(says[1], says[0]);
}

TEST(CheckedGroup, WhoComesTooLateIsToldSo) {
  on_checked_ranks(3, "gloo", kSoon, [](GroupPtr& plain, GroupPtr& group) {
    group->barrier();
    std::string says = "none";
    if (group->rank() != 1) says = error_of([&] { group->barrier(); });
    plain->barrier();  // the others have given up
    if (group->rank() == 1) says = error_of([&] { group->barrier(); });
    EXPECT_EQ(says,
              "the ranks' collective 2: waited 0.3 s for rank 1; ranks 0, 2 call "
              "barrier");
  });
}

// An optimizer's step in the same pass, and memory to add up in.
TEST(CheckedGroup, WorksInPlaceWhereTheOtherDoes) {
  on_checked_ranks(2, "shm", shm::kTestTimeout, [](GroupPtr& plain, GroupPtr& group) {
    for (const GroupPtr& one : {plain, group}) {
      const double mine = one->rank() + 1;
      const at::Tensor gradient = one->allocate(1001, at::kFloat).fill_(mine);
      const at::Tensor parameter = one->allocate(1001, at::kFloat).fill_(10);
      EXPECT_EQ(one->shard_elements({parameter}), plain->shard_elements({parameter}));
      comm::ShardedUpdate update;
      update.gradients = {gradient};
      update.parameters = {parameter};
      update.step = [](void* mean, void* parameters, void*, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
          static_cast<float*>(parameters)[i] -= static_cast<float*>(mean)[i];
        }
      };
      one->update_shards(update).wait();
      EXPECT_TRUE(parameter.eq(8.5).all().item<bool>());
      one->all_reduce_mean({gradient, parameter}).wait();
      EXPECT_TRUE(gradient.eq(1.5).all().item<bool>());
    }
    const at::Tensor gradient = torch::ones({2 + group->rank()});
    const std::string says = error_of([&] {
      comm::ShardedUpdate update;
      update.gradients = update.parameters = {gradient};
      group->update_shards(update).wait();
    });
    EXPECT_NE(says.find("rank 1 calls update of [3] Float, mean"), std::string::npos)
        << says;
  });
}

TEST(CheckedGroup, MessagesAreNotLookedAt) {
  on_checked_ranks(3, "gloo", kSoon, [](GroupPtr&, GroupPtr& group) {
    at::Tensor tensor = torch::full({4}, group->rank());
    if (group->rank() == 0) group->send(tensor, 2).wait();
    if (group->rank() == 2) group->recv(tensor, 0).wait();
    EXPECT_EQ(tensor[3].item<int>(), group->rank() == 2 ? 0 : group->rank());
    group->barrier();
  });
}

class LostRankOne final : public comm::PeerWatch {
 public:
  std::string lost(milliseconds) const override { return "rank 1 (pid 7) has gone"; }
  Clock::time_point speaks_at() const override { return Clock::now(); }
  void at_step(int64_t) override {}
  void ends_badly() override {}
  void monitored_barrier(milliseconds) override {}
};

// Long before the time-out.
TEST(CheckedGroup, WhoIsLostIsNamedByTheWatch) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  shm::on_threads(2, [&](int rank) {
    const auto watch = std::make_shared<LostRankOne>();
    const GroupPtr group =
        checked(*shm::make_shm(store, rank, 2, shm::kTestTimeout, {}, watch), store,
                std::chrono::hours(1));
    if (rank == 1) return;
    try {
      group->all_reduce(torch::ones({10})).wait();
      ADD_FAILURE() << "summed with nobody";
    } catch (const comm::CommError& error) {
      EXPECT_STREQ(error.what(),
                   "rank 0: all_reduce of 40 bytes could not start, rank 1 (pid 7) has "
                   "gone: given up");
    }
  });
}

}  // namespace
}  // namespace lockstep::fingerprint
