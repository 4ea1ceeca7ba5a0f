// A rank that neither ends nor answers: stopped, out of reach, or the others themselves
// at work on something that does not end. Started by hand; every rank ends by itself,
// with one line that names who is lost, where, and at which step. The contract is 5 s;
// what it took is printed, and the limit here is what a busy machine keeps.
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <regex>
#include <thread>

#include "emulation/hosts.h"
#include "tests/program_run.h"
#include "tests/ranks_by_hand.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

constexpr std::chrono::seconds kSoon{10};

Words endless(const std::string& backend) {
  return {"--backend", backend,     "--model",
          "linear",    "--dataset", "features100",
          "--device",  "cpu",       "--threads-per-card",
          "1",         "--epochs",  "1000000",
          "--quiet"};
}

// Seconds from `start` until these ranks have ended, each with a line of that pattern.
double expect_to_end(RanksByHand& ranks, const std::vector<int>& which,
                     Clock::time_point start, const std::string& pattern) {
  for (const int rank : which) {
    launch::Process& process = ranks[rank].process();
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(start + kSoon - Clock::now());
    const auto status = process.wait_for(std::max(left, std::chrono::milliseconds(0)));
    if (!status) {
      ADD_FAILURE() << "rank " << rank << " did not end: " << process.err();
      continue;
    }
    EXPECT_EQ(launch::describe(*status), "exited with status 1");
    const std::string errors = process.err();
    EXPECT_EQ(lines_of(errors).size(), 1u) << errors;
    EXPECT_TRUE(std::regex_search(errors, std::regex(pattern)))
        << "no \"" << pattern << "\": " << errors;
  }
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string named(int rank, int pid) {
  return "rank " + std::to_string(rank) + " \\(pid " + std::to_string(pid) +
         " on [^ ]+\\)";
}

const std::string kSilent =
    " has not been heard of for 3 s \\(stopped, or its host cannot be reached\\), last "
    "step [0-9]+: ";

void expect_a_stopped_rank_is_named(const std::string& backend, int victim) {
  RanksByHand ranks(3, endless(backend));
  ranks.let_go();
  // Into the steps, and a beat has told of them.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  launch::Process& stopped = ranks[victim].process();
  const std::string name = named(victim, stopped.pid());
  const auto start = Clock::now();
  stopped.send_signal(SIGSTOP);
  const std::vector<int> others = {(victim + 1) % 3, (victim + 2) % 3};
  const double took = expect_to_end(ranks, others, start,
                                    "^ddp: rank [0-9]: .* failed, " + name + kSilent);
  std::printf("rank %d stopped over %s: the others ended %.1f s after\n", victim,
              backend.c_str(), took);
  // Whoever wakes up afterwards is told as well.
  const auto awake = Clock::now();
  stopped.send_signal(SIGCONT);
  expect_to_end(
      ranks, {victim}, awake,
      "^ddp: rank [0-9]: .* failed, given up by the others: " + name + kSilent);
}

template <class Condition>
void await(const Condition& holds) {
  for (int i = 0; i < 3000 && !holds(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// Under a launcher the first one's end ends the others: one line, whoever of them
// noticed.
void expect_one_line_under_a_launcher(int victim) {
  Words arguments = endless("gloo");
  arguments.insert(arguments.end(), {"--gpus", "3"});
  ProgramRun run("ddp", arguments);
  await([&] { return process_of(run, victim) != 0; });
  const int pid = process_of(run, victim);
  await([&] { return has_thread(pid, "watch"); });
  kill(pid, SIGSTOP);
  EXPECT_EQ(run.status(), 1);
  const std::string errors = run.process().err();
  EXPECT_EQ(lines_of(errors).size(), 1u) << errors;
  EXPECT_TRUE(std::regex_search(errors, std::regex(named(victim, pid)))) << errors;
  EXPECT_EQ(run.alive(), std::vector<int>{});
}

// Each of them mostly waits.
void beside_each_other(const std::vector<std::function<void()>>& jobs) {
  std::vector<std::thread> threads;
  for (const auto& job : jobs) threads.emplace_back(job);
  for (std::thread& thread : threads) thread.join();
}

TEST(Silence, AStoppedRankIsNamedByAllOthers) {
  beside_each_other({[] { expect_a_stopped_rank_is_named("gloo", 0); },
                     [] { expect_a_stopped_rank_is_named("gloo", 2); },
                     [] { expect_a_stopped_rank_is_named("shm", 0); },
                     [] { expect_a_stopped_rank_is_named("shm", 2); },
                     [] { expect_one_line_under_a_launcher(0); }});
}

// Its main thread alone, at any moment of a step: the others go on.
void stop_main_thread(int pid) {
  ASSERT_EQ(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), 0) << std::strerror(errno);
  ASSERT_EQ(ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr), 0) << std::strerror(errno);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, __WALL), pid);
  ASSERT_TRUE(WIFSTOPPED(status));
}

void expect_a_hanging_ranks_watch_to_speak() {
  RanksByHand ranks(2, endless("shm"));
  ranks.let_go();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  stop_main_thread(ranks[1].process().pid());
  launch::Process& victim = ranks[0].process();
  const auto start = Clock::now();
  victim.send_signal(SIGKILL);
  const double took = expect_to_end(
      ranks, {1}, start,
      "^ddp: rank 1: " + named(0, victim.pid()) + " has gone, last step [0-9]+\n$");
  std::printf("rank 0 killed while rank 1 hangs: it ended %.1f s after\n", took);
}

void expect_a_cut_cable_to_be_named_on_both_sides() {
  const emulation::Hosts hosts(2);
  RanksByHand ranks(
      4, endless("gloo"), emulation::Hosts::address(0),
      [&](int rank, const Words& command) { return hosts.on(rank / 2, command); });
  ranks.let_go();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const auto start = Clock::now();
  hosts.cut_cable(0);
  const std::string silent = " not been heard of for 3 s \\(stopped, or ";
  const double near =
      expect_to_end(ranks, {0, 1}, start,
                    named(2, ranks[2].process().pid()) + " and " +
                        named(3, ranks[3].process().pid()) + " have" + silent +
                        "their hosts cannot be reached\\), last steps [0-9]+ and ");
  const double far =
      expect_to_end(ranks, {2, 3}, start,
                    named(0, ranks[0].process().pid()) + " has" + silent +
                        "its host cannot be reached\\), last step [0-9]+: ");
  std::printf("cable cut: one side ended %.1f s after, the other %.1f s\n", near, far);
}

TEST(Silence, OfAHangingRankAndOfAnotherHost) {
  beside_each_other({[] { expect_a_hanging_ranks_watch_to_speak(); },
                     [] {
                       const std::string reason = emulation::Hosts::cannot();
                       if (reason.empty()) {
                         return expect_a_cut_cable_to_be_named_on_both_sides();
                       }
                       std::printf("WAIVED: tests/silence (two hosts): %s\n",
                                   reason.c_str());
                     }});
}

}  // namespace
}  // namespace lockstep
