// Ranks killed with SIGKILL at random moments: the others end by themselves within 10 s
// (Horovod's within 5) and name the one that has gone, and nothing of the job remains.
// Ranks are started by hand, for a launcher of ours would end the others; a fifth of
// the jobs has one.
//
//   LOCKSTEP_KILLS=500        how many of each program (ddp 20, horovod 5)
//   LOCKSTEP_KILL_SEED=7      repeats a run: kill number i is drawn from seed + i
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <regex>
#include <set>
#include <thread>

#include "tests/program_run.h"
#include "tests/ranks_by_hand.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

// A program whose ranks are killed.
struct Program {
  std::string name;
  int kills;                  // unless told
  std::chrono::seconds soon;  // that the others end within
};

struct Kill {
  Program program;
  std::string backend;
  bool launcher;
  bool small_steps;  // many short collectives a second, or few long ones
  int ranks;
  int victim;
  std::chrono::milliseconds after;

  Kill(Program of, uint64_t seed, int number) : program(std::move(of)) {
    std::mt19937_64 random(seed + static_cast<uint64_t>(number));
    const auto draw = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    backend = number % 2 == 0 ? "shm" : "gloo";
    launcher = number % 10 >= 8;
    small_steps = draw(0, 1) == 1;
    ranks = draw(2, 4);
    victim = draw(0, ranks - 1);
    // By hand: into the training. Under the launcher: at any moment of a rank's life.
    after = std::chrono::milliseconds(draw(0, launcher ? 3000 : 300));
  }

  std::vector<std::string> arguments() const {
    return {"--backend",
            backend,
            "--model",
            small_steps ? "linear" : "mlp",
            "--dataset",
            small_steps ? "features100" : "synthetic",
            "--device",
            "cpu",
            "--threads-per-card",
            "1",
            "--epochs",
            "1000000",
            "--quiet"};
  }
};

int from_environment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

// What processes hold that could outlive them, as the kernel numbers it.
struct Holdings {
  std::set<std::string> sockets;  // inodes
  std::set<std::string> memory;   // inodes of shared memory without a name
  std::set<std::string> named;    // files in /dev/shm

  void add(int pid) {
    const std::string process = "/proc/" + std::to_string(pid);
    std::error_code gone;
    for (const auto& fd : fs::directory_iterator(process + "/fd", gone)) {
      const std::string what = fs::read_symlink(fd.path(), gone).string();
      if (what.rfind("socket:[", 0) == 0)
        sockets.insert(what.substr(8, what.size() - 9));
      if (what.rfind("/dev/shm/", 0) == 0) named.insert(what);
    }
    for (const auto& [inode, path] : mappings(process)) {
      if (path.rfind("/memfd:lockstep", 0) == 0) memory.insert(inode);
      if (path.rfind("/dev/shm/", 0) == 0) named.insert(path);
    }
  }

  // Who has it still, in words; empty: nobody.
  std::string left() const {
    std::string found;
    for (const char* table : {"tcp", "tcp6", "unix"}) {
      for (const std::string& line :
           lines_of(read_text(std::string("/proc/net/") + table))) {
        std::istringstream fields(line);
        const int column = table[0] == 'u' ? 7 : 10;
        std::string field;
        for (int i = 0; i < column; ++i) fields >> field;
        if (sockets.count(field) > 0) found += std::string("\n") + table + ": " + line;
      }
    }
    for (const auto& process : fs::directory_iterator("/proc")) {
      const std::string name = process.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      for (const auto& [inode, path] : mappings(process.path().string())) {
        if (memory.count(inode) > 0) found += "\nprocess " + name + " maps " + path;
      }
    }
    for (const std::string& file : named) found += "\n" + file;
    return found;
  }

 private:
  static std::vector<std::pair<std::string, std::string>> mappings(
      const std::string& process) {
    std::vector<std::pair<std::string, std::string>> found;
    for (const std::string& line : lines_of(read_text(process + "/maps"))) {
      std::istringstream fields(line);
      std::string range, rights, offset, device, inode, path;
      fields >> range >> rights >> offset >> device >> inode >> path;
      found.emplace_back(inode, path);
    }
    return found;
  }
};

struct Totals {
  std::mutex mutex;
  struct Of {
    int kills = 0;
    double slowest_s = 0;
  };
  std::map<std::string, Of> of;
  size_t held = 0;  // sockets and memory that were looked for afterwards

  void add(const Kill& kill, double slowest, const Holdings& holdings) {
    const std::lock_guard lock(mutex);
    Of& mine = of[kill.backend + (kill.launcher ? " under the launcher" : " by hand")];
    ++mine.kills;
    mine.slowest_s = std::max(mine.slowest_s, slowest);
    held += holdings.sockets.size() + holdings.memory.size();
  }
  void print() const {
    for (const auto& [what, mine] : of) {
      std::printf("%4d kills, %s: the slowest end %.1f s after\n", mine.kills,
                  what.c_str(), mine.slowest_s);
    }
    std::printf("of %zu sockets and memories held, left: %s\n", held,
                testing::Test::HasFailure() ? "see above" : "none");
  }
};

void expect_one_line(const std::string& errors, const std::string& words) {
  EXPECT_EQ(lines_of(errors).size(), 1u) << errors;
  EXPECT_TRUE(std::regex_search(errors, std::regex(words)))
      << "no \"" << words << "\": " << errors;
}

// Seconds from the kill to the last survivor's end. One that is still there then is
// killed, and fails the test.
double expect_survivors_to_end(const Kill& kill, RanksByHand& runs) {
  const auto start = Clock::now();
  double slowest = 0;
  const int victim_pid = runs[kill.victim].process().pid();
  for (int rank = 0; rank < runs.size(); ++rank) {
    launch::Process& process = runs[rank].process();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        start + kill.program.soon - Clock::now());
    const auto status = process.wait_for(std::max(left, std::chrono::milliseconds(0)));
    if (rank == kill.victim) continue;
    slowest =
        std::max(slowest, std::chrono::duration<double>(Clock::now() - start).count());
    if (!status.has_value()) {
      ADD_FAILURE() << "rank " << rank << " did not end: " << process.err();
      continue;
    }
    EXPECT_EQ(launch::describe(*status), "exited with status 1");
    expect_one_line(process.err(), "rank " + std::to_string(kill.victim) + " \\(pid " +
                                       std::to_string(victim_pid) +
                                       " on [^ ]+\\) has gone");
  }
  return slowest;
}

double kill_by_hand(const Kill& kill, Holdings& holdings) {
  RanksByHand runs(kill.ranks, kill.arguments(), "127.0.0.1", RanksByHand::as_it_is,
                   kill.program.name);
  runs.let_go();
  std::this_thread::sleep_for(kill.after);
  for (int rank = 0; rank < runs.size(); ++rank) {
    holdings.add(runs[rank].process().pid());
  }
  // Else finding nothing afterwards would prove nothing.
  EXPECT_NE(holdings.left(), "");
  EXPECT_EQ(holdings.memory.size(), kill.backend == "shm" ? 1u : 0u);
  runs[kill.victim].process().send_signal(SIGKILL);
  const double slowest = expect_survivors_to_end(kill, runs);
  for (int rank = 0; rank < runs.size(); ++rank) {
    EXPECT_EQ(runs[rank].alive(), std::vector<int>{});
    EXPECT_EQ(runs[rank].temporary_files(), std::vector<std::string>{});
  }
  return slowest;
}

double kill_under_launcher(const Kill& kill, Holdings& holdings) {
  std::vector<std::string> arguments = kill.arguments();
  arguments.insert(arguments.end(), {"--gpus", std::to_string(kill.ranks)});
  ProgramRun run(kill.program.name, arguments);
  int victim = 0;
  while ((victim = process_of(run, kill.victim)) == 0) {
    if (run.process().wait_for(std::chrono::milliseconds(1))) break;
  }
  std::this_thread::sleep_for(kill.after);
  for (const int pid : run.alive()) holdings.add(pid);
  const auto start = Clock::now();
  if (victim > 0) ::kill(victim, SIGKILL);
  expect_refusal(run, 128 + SIGKILL,
                 {"rank " + std::to_string(kill.victim) + " was killed by SIGKILL"});
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void expect_the_others_to_end(const Program& program) {
  const int kills = from_environment("LOCKSTEP_KILLS", program.kills);
  const auto seed = static_cast<uint64_t>(from_environment(
      "LOCKSTEP_KILL_SEED", static_cast<int>(std::random_device()() % 1000000)));
  std::printf("LOCKSTEP_KILL_SEED=%llu\n", static_cast<unsigned long long>(seed));
  // A survivor waits some seconds before it speaks: jobs beside each other cost little.
  constexpr int kJobsAtOnce = 6;
  std::atomic<int> next = 0;
  Totals totals;
  const auto work = [&] {
    for (int number = next++; number < kills; number = next++) {
      const Kill kill(program, seed, number);
      SCOPED_TRACE(program.name + ", kill " + std::to_string(number) + " of seed " +
                   std::to_string(seed) + ": rank " + std::to_string(kill.victim) +
                   " of " + std::to_string(kill.ranks) + " over " + kill.backend);
      Holdings holdings;
      const double slowest = kill.launcher ? kill_under_launcher(kill, holdings)
                                           : kill_by_hand(kill, holdings);
      EXPECT_LE(slowest, std::chrono::duration<double>(program.soon).count());
      EXPECT_EQ(holdings.left(), "");
      totals.add(kill, slowest, holdings);
    }
  };
  std::vector<std::thread> jobs;
  for (int i = 0; i < kJobsAtOnce; ++i) jobs.emplace_back(work);
  for (std::thread& job : jobs) job.join();
  totals.print();
}

TEST(Kill, DdpsOthersEndAndNameItAndNothingRemains) {
  expect_the_others_to_end({"ddp", 20, std::chrono::seconds(10)});
}

TEST(Kill, HorovodsOthersEndAndNameItAndNothingRemains) {
  expect_the_others_to_end({"horovod", 5, std::chrono::seconds(5)});
}

}  // namespace
}  // namespace lockstep
