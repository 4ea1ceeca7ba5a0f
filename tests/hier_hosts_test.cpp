// `--backend hier` in real training on two hosts of two ranks, the ranks placed host by
// host and in turn: one card's losses, the bytes on the cable as the interface counts
// them, against flat gloo's; and ranks that go: every other ends by itself, with one
// line that names who is lost.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <thread>

#include "tests/equality/run.h"
#include "tests/on_two_hosts.h"
#include "tests/program_run.h"
#include "tests/ranks_by_hand.h"

namespace lockstep::equality {
namespace {

using Clock = std::chrono::steady_clock;
using emulation::Hosts;

constexpr size_t kSteps = 10;
constexpr int kRanks = 4;
const std::string kWork =
    " --model mlp --dataset synthetic --precision fp64 --steps 10";
const std::string kCards = " --device cpu --threads-per-card 1 --quiet";
const std::string kEndless =
    "--backend hier --model mlp --dataset synthetic --epochs 1000000" + kCards;

struct Placed {
  const char* name;
  std::vector<int> host;  // [rank]
};
const Placed kInBlocks{"host by host", {0, 0, 1, 1}};
const Placed kInTurn{"in turn", {0, 1, 0, 1}};

std::unique_ptr<RanksByHand> start(const Hosts& hosts, const Placed& placed,
                                   const std::string& arguments) {
  return std::make_unique<RanksByHand>(
      kRanks, words(arguments), Hosts::address(0), [&](int rank, const Words& command) {
        const auto r = static_cast<size_t>(rank);
        const auto before = placed.host.begin() + rank;
        const auto local = std::count(placed.host.begin(), before, placed.host[r]);
        return hosts.on(placed.host[r], Words{"env", "LOCAL_WORLD_SIZE=2",
                                              "LOCAL_RANK=" + std::to_string(local)} +
                                            command);
      });
}

// Sent and received so far by host 0.
double bytes_on_cable(const Hosts& hosts) {
  launch::Command command;
  command.argv = hosts.on(0, {"cat", "/proc/net/dev"});
  command.out = launch::Output::kCapture;
  launch::Process process(command);
  EXPECT_EQ(process.wait().code, 0);
  for (const std::string& line : lines_of(process.out())) {
    const size_t name = line.find("cable:");
    if (name == std::string::npos) continue;
    std::istringstream fields(line.substr(name + 6));
    std::vector<double> count(16);
    for (double& field : count) fields >> field;
    return count[0] + count[8];
  }
  ADD_FAILURE() << "host 0 has no cable";
  return 0;
}

struct Ran {
  std::vector<double> losses;
  double bytes = 0;
};

Ran train(const Hosts& hosts, const Placed& placed, const std::string& backend) {
  const TestFolder folder;
  const double before = bytes_on_cable(hosts);
  const auto ranks = start(hosts, placed,
                           "--batch-size 16 --backend " + backend + kWork + kCards +
                               " --metrics-file " + folder / "metrics");
  ranks->let_go();
  for (int rank = 0; rank < kRanks; ++rank) {
    EXPECT_EQ((*ranks)[rank].status(), 0) << (*ranks)[rank].process().err();
  }
  Ran ran;
  ran.bytes = bytes_on_cable(hosts) - before;
  for (const std::string& line : lines_of(read_text(folder / "metrics"))) {
    ran.losses.push_back(nlohmann::json::parse(line).at("loss"));
  }
  return ran;
}

class HierHosts : public OnTwoHosts {
 protected:
  static void SetUpTestSuite() { build("tests/hier_hosts"); }
};

// Each gradient crosses the cable once each way whatever the placement, and so did the
// parameters at the start, one way. Flat gloo's ring of n ranks sends 2 (n-1)/n of the
// gradients over each of its edges, of four ranks 1.5 times the gradients: host by host
// one edge leaves a host, and hier's bytes are two thirds of that; in turn each rank's
// does, and they are one third.
TEST_F(HierHosts, GivesOneCardsLossesAndSparesTheCable) {
  constexpr double kGradients = 8.0 * (784 * 256 + 256 + 256 * 10 + 10);
  const auto& one_card =
      program_losses("single_gpu --batch-size 64 --threads-per-card 1" + kWork);
  const Ran flat = train(*hosts_, kInTurn, "gloo");
  for (const Placed& placed : {kInBlocks, kInTurn}) {
    const Ran hier = train(*hosts_, placed, "hier");
    const double to_flat = apart(hier.losses, flat.losses, kSteps);
    const double to_one = apart(hier.losses, one_card, kSteps);
    std::printf(
        "%s: %.2f MB on the cable, %.3f of flat gloo's in turn; losses %.1e from "
        "gloo's, %.1e from one card's\n",
        placed.name, hier.bytes / 1e6, hier.bytes / flat.bytes, to_flat, to_one);
    EXPECT_LE(hier.bytes, 1.03 * (2 * kSteps + 1) * kGradients) << placed.name;
    EXPECT_LE(hier.bytes, 0.4 * flat.bytes) << placed.name;
    EXPECT_LE(to_flat, 1e-10) << placed.name;
    EXPECT_LE(to_one, 1e-10) << placed.name;
  }
}

// All others end, each with one line, and nothing of the job is left.
void expect_to_end(RanksByHand& ranks, const std::vector<int>& which,
                   const std::string& pattern) {
  const auto until = Clock::now() + std::chrono::seconds(10);
  for (const int rank : which) {
    launch::Process& process = ranks[rank].process();
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    const auto status = process.wait_for(std::max(left, std::chrono::milliseconds(0)));
    if (!status) {
      ADD_FAILURE() << "rank " << rank << " did not end: " << process.err();
      continue;
    }
    EXPECT_EQ(launch::describe(*status), "exited with status 1");
    const std::string said = process.err();
    EXPECT_EQ(lines_of(said).size(), 1u) << said;
    EXPECT_TRUE(std::regex_search(said, std::regex(pattern)))
        << "no \"" << pattern << "\": " << said;
    EXPECT_EQ(ranks[rank].alive(), std::vector<int>{});
    EXPECT_EQ(ranks[rank].temporary_files(), std::vector<std::string>{});
  }
}

std::string named(RanksByHand& ranks, int rank) {
  return "rank " + std::to_string(rank) + " \\(pid " +
         std::to_string(ranks[rank].process().pid()) + " on [^ ]+\\)";
}

void expect_to_name(const Hosts& hosts, int victim, int signal,
                    const std::string& what) {
  const auto ranks = start(hosts, kInBlocks, kEndless);
  ranks->let_go();
  std::this_thread::sleep_for(std::chrono::seconds(1));  // into the steps
  (*ranks)[victim].process().send_signal(signal);
  std::vector<int> others;
  for (int rank = 0; rank < kRanks; ++rank) {
    if (rank != victim) others.push_back(rank);
  }
  expect_to_end(*ranks, others, "failed, " + named(*ranks, victim) + what);
}

void expect_a_cut_cable_to_be_named(const Hosts& hosts) {
  const auto ranks = start(hosts, kInBlocks, kEndless);
  ranks->let_go();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  hosts.cut_cable(0);
  expect_to_end(*ranks, {0, 1},
                named(*ranks, 2) + " and " + named(*ranks, 3) +
                    " have not been heard of for 3 s");
  expect_to_end(*ranks, {2, 3}, named(*ranks, 0) + " has not been heard of for 3 s");
}

// Each on hosts of its own, beside the others, for they mostly wait: for a cable so
// slow that who goes does so in the middle of a collective.
TEST_F(HierHosts, WhoGoesIsNamedAndNothingRemains) {
  const Hosts first(2, "100mbit"), second(2, "100mbit"), third(2, "100mbit");
  std::vector<std::thread> jobs;
  jobs.emplace_back([&] { expect_to_name(first, 1, SIGKILL, " has gone"); });
  jobs.emplace_back(
      [&] { expect_to_name(second, 3, SIGSTOP, " has not been heard of for 3 s"); });
  jobs.emplace_back([&] { expect_a_cut_cable_to_be_named(third); });
  for (std::thread& job : jobs) job.join();
}

TEST_F(HierHosts, OneHostIsRefused) {
  ProgramRun run("ddp", words("--gpus 2 --steps 1 --backend hier" + kCards));
  expect_refusal(run, 2,
                 {"--backend hier is for ranks on several hosts", "try --backend shm"});
}

}  // namespace
}  // namespace lockstep::equality
