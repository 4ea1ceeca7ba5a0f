// Random faults at random moments of a job on two hosts that starts again after
// failures. Whatever happens: it ends, either finished with the losses and the last
// checkpoint of a job that nothing happened to, or with a line that names a rank, a
// node, an address or a file; soon after the fault somebody says so; nobody is left;
// and every checkpoint that is left loads.
//
//   LOCKSTEP_FAULTS=100       how many (10: each kind once)
//   LOCKSTEP_FAULT_SEED=7     repeats a run: fault number i is drawn from seed + i
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <optional>
#include <random>
#include <regex>
#include <thread>

#include "tests/job_on_two_hosts.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kSoon{10};

int from_environment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

const std::vector<std::string> kKinds = {"a rank is killed",
                                         "a guard is killed",
                                         "node 1's launcher is killed",
                                         "node 0's launcher is killed",
                                         "a rank is stopped",
                                         "the cable is pulled",
                                         "the cable is pulled for a while",
                                         "node 1 never comes",
                                         "the port is taken",
                                         "the disk is full"};

struct Fault {
  std::string kind;
  int rank;
  bool in_training;
  milliseconds after;
  milliseconds healed_after;  // where it is a fault that passes
  bool heals;

  Fault(uint64_t seed, int number) : kind(kKinds[number % kKinds.size()]) {
    std::mt19937_64 random(seed + static_cast<uint64_t>(number));
    const auto draw = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    rank = draw(0, 3);
    // Else at any moment of its start.
    in_training = draw(0, 3) > 0;
    after = milliseconds(draw(0, 2000));
    healed_after = milliseconds(draw(200, 8000));
    heals = draw(0, 1) == 1;
  }

  bool is(const std::string& part) const {
    return kind.find(part) != std::string::npos;
  }
  // With two restarts.
  bool must_finish() const { return is("a rank is") || is("a guard is"); }
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What a user can go by.
bool names_something(const std::string& line) {
  static const std::regex kName(
      "rank [0-9]|node [0-9]|192\\.168\\.77\\.|cannot write /");
  return std::regex_search(line, kName);
}

class Trial {
 public:
  explicit Trial(const Fault& fault)
      : fault_(fault), job_(/*on_small_disk=*/fault.is("disk")) {}

  // Seconds from the fault until somebody said something, where the job trained and
  // there was something to say.
  std::optional<double> run() {
    if (fault_.is("port")) take_port();
    job_.start(0);
    if (!fault_.is("never comes")) job_.start(1);
    strike();
    const auto noticed = watch();
    heal();
    await_end();
    return noticed;
  }

  JobOnTwoHosts& job() { return job_; }

 private:
  void take_port() {
    launch::Command command;
    command.argv =
        job_.hosts.on(0, {std::getenv("LOCKSTEP_PYTHON"), "-S", "-c",
                          "import socket, time\nother = socket.create_server(('" +
                              emulation::Hosts::address(0) + "', " +
                              std::to_string(JobOnTwoHosts::kPort) +
                              "))\nprint('listening', flush=True)\ntime.sleep(1000)"});
    command.out = launch::Output::kCapture;
    taker_ = std::make_unique<launch::Process>(command);
    while (taker_->out().empty()) std::this_thread::sleep_for(milliseconds(5));
  }

  void strike() {
    if (fault_.is("port") || fault_.is("never comes")) return;
    const std::string program = fault_.is("guard") ? "launch_rank" : "ddp";
    while ((job_.pid_of(program, fault_.rank) == 0 ||
            (fault_.in_training && !job_.trains())) &&
           !job_.ended()) {
      std::this_thread::sleep_for(milliseconds(5));
    }
    std::this_thread::sleep_for(fault_.after);
    said_before_ = job_.said().size();
    struck_ = Clock::now();
    // Ranks that have not met yet wait for each other as long as --timeout says.
    struck_in_time_ = job_.trains() && !job_.ended();
    const int victim = job_.pid_of(program, fault_.rank);
    if (fault_.is("launcher")) {
      job_.node(fault_.is("node 1") ? 1 : 0)->process().send_signal(SIGKILL);
    } else if (fault_.is("killed")) {
      if (victim > 0) kill(victim, SIGKILL);
    } else if (fault_.is("stopped")) {
      if (victim > 0) kill(victim, SIGSTOP);
    } else if (fault_.is("cable")) {
      job_.hosts.cut_cable(0);
    } else if (fault_.is("disk")) {
      job_.fill_disk();
    }
  }

  std::optional<double> watch() {
    const bool passes = fault_.is("for a while") || (fault_.is("disk") && fault_.heals);
    if (!struck_) return std::nullopt;
    while (job_.said().size() <= said_before_ && !job_.ended()) {
      if (passes && Clock::now() > *struck_ + fault_.healed_after) return std::nullopt;
      if (Clock::now() > *struck_ + 2 * kSoon) break;
      std::this_thread::sleep_for(milliseconds(10));
    }
    if (!struck_in_time_ || job_.said().size() <= said_before_) return std::nullopt;
    return seconds_since(*struck_);
  }

  void heal() {
    const bool cable = fault_.is("for a while");
    const bool disk = fault_.is("disk") && fault_.heals;
    if (!cable && !disk) return;
    std::this_thread::sleep_until(*struck_ + fault_.healed_after);
    if (cable) job_.hosts.plug_cable_in(0);
    if (disk) job_.make_room();
  }

  void await_end() {
    for (const int number : {0, 1}) {
      if (ProgramRun* node = job_.node(number)) node->status();
    }
  }

  Fault fault_;
  JobOnTwoHosts job_;
  std::unique_ptr<launch::Process> taker_;
  size_t said_before_ = 0;
  std::optional<Clock::time_point> struck_;
  bool struck_in_time_ = false;  // while it trained
};

struct Undisturbed {
  std::map<int64_t, double> losses;
  std::string manifest;
};

// True: it finished.
bool expect_promises(const Fault& fault, JobOnTwoHosts& job,
                     const Undisturbed& wanted) {
  std::string said;
  for (const std::string& line : job.said()) said += "\n  " + line;
  SCOPED_TRACE("it said:" + said);
  bool finished = true;
  for (const int number : {0, 1}) {
    ProgramRun* node = job.node(number);
    if (node == nullptr) {
      finished = false;
      continue;
    }
    const int status = node->status();
    EXPECT_EQ(node->alive(), std::vector<int>{}) << "node " << number;
    if (status == 0) continue;
    finished = false;
    if (fault.is("node " + std::to_string(number) + "'s launcher")) continue;
    bool told = false;
    for (const std::string& line : lines_of(node->process().err())) {
      told = told || (line.rfind("launch: ", 0) == 0 && names_something(line));
    }
    EXPECT_TRUE(told) << "node " << number << " ended with " << status;
  }
  if (fault.must_finish()) EXPECT_TRUE(finished);
  EXPECT_NO_THROW(job.load_all_checkpoints());
  if (!finished) return false;
  EXPECT_EQ(job.manifest(), wanted.manifest);
  for (const auto& [step, loss] : job.losses()) {
    EXPECT_NEAR(loss, wanted.losses.at(step), 1e-10 * loss) << "step " << step;
  }
  return true;
}

class Faults : public testing::Test {
 protected:
  void SetUp() override {
    std::string reason = emulation::Hosts::cannot();
    if (reason.empty()) reason = SmallDisk::cannot();
    if (reason.empty()) return;
    std::printf("WAIVED: tests/faults (two hosts): %s\n", reason.c_str());
    GTEST_SKIP() << "waived: no two hosts here";
  }

  static Undisturbed undisturbed() {
    const TestFolder folder;
    JobOnTwoHosts job(/*on_small_disk=*/false);
    for (const int node : {0, 1}) job.start(node);
    for (const int node : {0, 1}) EXPECT_EQ(job.node(node)->status(), 0);
    const Undisturbed result{job.losses(), job.manifest()};
    EXPECT_EQ(result.losses.size(), static_cast<size_t>(JobOnTwoHosts::kSteps));
    EXPECT_NE(result.manifest, "");
    return result;
  }
};

TEST_F(Faults, TheJobEndsWellOrSaysWhyNot) {
  const int faults = from_environment("LOCKSTEP_FAULTS", 10);
  const auto seed = static_cast<uint64_t>(from_environment(
      "LOCKSTEP_FAULT_SEED", static_cast<int>(std::random_device()() % 1000000)));
  std::printf("LOCKSTEP_FAULT_SEED=%llu\n", static_cast<unsigned long long>(seed));
  const Undisturbed wanted = undisturbed();
  // They wait for time-outs most of their time.
  constexpr int kJobsAtOnce = 5;
  std::atomic<int> next = 0;
  std::mutex mutex;
  double slowest = 0;
  const auto work = [&] {
    for (int number = next++; number < faults; number = next++) {
      const Fault fault(seed, number);
      SCOPED_TRACE("fault " + std::to_string(number) + " of seed " +
                   std::to_string(seed) + ": " + fault.kind + ", rank " +
                   std::to_string(fault.rank) + ", " +
                   std::to_string(fault.after.count()) + " ms into the " +
                   (fault.in_training ? "training" : "start"));
      const auto start = Clock::now();
      Trial trial(fault);
      const std::optional<double> noticed = trial.run();
      const bool finished = expect_promises(fault, trial.job(), wanted);
      EXPECT_LE(noticed.value_or(0), std::chrono::duration<double>(kSoon).count());
      const std::lock_guard lock(mutex);
      slowest = std::max(slowest, noticed.value_or(0));
      std::printf("%5.1f s  %-32s %s", seconds_since(start), fault.kind.c_str(),
                  finished ? "finished" : "ended");
      if (noticed) std::printf(", noticed after %.1f s", *noticed);
      std::printf("\n");
    }
  };
  std::vector<std::thread> jobs;
  for (int i = 0; i < kJobsAtOnce; ++i) jobs.emplace_back(work);
  for (std::thread& job : jobs) job.join();
  std::printf("%d faults: the slowest noticed after %.1f s\n", faults, slowest);
}

}  // namespace
}  // namespace lockstep
