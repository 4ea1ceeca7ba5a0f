// Programs killed with SIGKILL while they save: --resume always finds a whole
// checkpoint, no older than the last that stood there, and goes on as if nobody had
// been killed. What a kill leaves is resumed from and killed again, so that at the end
// a run stands on all of them. (Each moment of a save by itself:
// checkpoint/checkpoint_folder_test.cpp.)
//
//   LOCKSTEP_KILLS=200        how many (20)
//   LOCKSTEP_KILL_SEED=7      repeats the choice of moments
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <thread>

#include "checkpoint/checkpoint_folder.h"
#include "tests/program_run.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

int from_environment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

// One run over all its kills.
class Chain {
 public:
  Chain(std::string program, const Words& options, uint64_t seed)
      : program_(std::move(program)), options_(options), random_(seed) {}

  void kill_once() {
    ProgramRun run(program_, words("run", 1000000));
    const bool saves = eventually([&] {
      return newest_step() > step_ || run.process().wait_for({}).has_value();
    });
    ASSERT_TRUE(saves && !run.process().wait_for({}).has_value())
        << run.process().err();
    // Of a step and its save, which take about as long.
    std::this_thread::sleep_for(std::chrono::milliseconds(draw(0, 80)));
    const int64_t stood = newest_step();
    kill(run);
    expect_resumed(run);
    for (const std::string& name : folder_.names()) {
      if (name.find(".unfinished-") == std::string::npos) continue;
      ++amid_;
      break;
    }
    const auto found = checkpoint::newest(
        folder_ / "run", [](const std::string& warning) { ADD_FAILURE() << warning; });
    ASSERT_TRUE(found.has_value());
    EXPECT_GE(found->step, stood);
    step_ = found->step;
    ++kills_;
  }

  void expect_as_undisturbed() {
    const int64_t last = step_ + 3;
    ProgramRun run(program_, words("run", last));
    ASSERT_EQ(run.status(), 0) << run.process().err();
    expect_resumed(run);
    const auto parts = losses("run");
    Words once = words("whole", last);
    once.erase(std::find(once.begin(), once.end(), "--resume"));
    *(std::find(once.begin(), once.end(), "--checkpoint-every") + 1) = "0";
    ProgramRun whole(program_, once);
    ASSERT_EQ(whole.status(), 0) << whole.process().err();
    const auto all = losses("whole");
    ASSERT_EQ(all.size(), static_cast<size_t>(last));
    ASSERT_EQ(parts.size(), 3u);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(parts[i], all[all.size() - 3 + i]);
    const std::string manifest = "/" + checkpoint::folder_name(last) + "/manifest";
    EXPECT_NE(read_text(folder_ / "whole" + manifest), "");
    EXPECT_EQ(read_text(folder_ / "run" + manifest),
              read_text(folder_ / "whole" + manifest));
    std::printf("%4d kills of %s, %d amid a save, over %lld steps\n", kills_,
                program_.c_str(), amid_, static_cast<long long>(last));
    EXPECT_GT(amid_, 0) << "else they would prove nothing";
  }

 private:
  Words words(const std::string& name, int64_t steps) const {
    Words words = {"--model",
                   "mlp-wide",
                   "--dataset",
                   "synthetic",
                   "--batch-size",
                   "8",
                   "--device",
                   "cpu",
                   "--threads-per-card",
                   "1",
                   "--quiet",
                   "--checkpoint-every",
                   "1",
                   "--resume",
                   "--checkpoint",
                   folder_ / name,
                   "--metrics-file",
                   folder_ / (name + ".metrics"),
                   "--steps",
                   std::to_string(steps)};
    words.insert(words.end(), options_.begin(), options_.end());
    return words;
  }

  // -1: none.
  int64_t newest_step() const {
    return checkpoint::newest_step(folder_ / "run").value_or(-1);
  }

  int draw(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random_);
  }

  template <typename Function>
  static bool eventually(Function holds) {
    for (int i = 0; i < 30000; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  // All of the job; or whoever writes the checkpoints, or started it, alone: the others
  // end by themselves.
  void kill(ProgramRun& run) {
    const std::vector<int> all = run.alive();
    const int who = draw(0, 2);
    for (const int pid : all) {
      const bool started = pid == run.process().pid();
      const bool writes = is_rank_zero(pid);
      if (who == 0 || (who == 1 && started) ||
          (who == 2 && (writes || all.size() == 1))) {
        ::kill(pid, SIGKILL);
      }
    }
    EXPECT_EQ(run.status(), 128 + SIGKILL) << run.process().err();
    EXPECT_TRUE(eventually([&] { return run.alive().empty(); })) << "one is left";
  }

  static bool is_rank_zero(int pid) {
    const std::string environment =
        std::string(1, '\0') + read_text("/proc/" + std::to_string(pid) + "/environ");
    return environment.find(std::string("\0RANK=0\0", 8)) != std::string::npos;
  }

  void expect_resumed(ProgramRun& run) const {
    const std::string said =
        step_ < 0 ? "starting at the beginning\n"
                  : "checkpoint: resuming after step " + std::to_string(step_) + "\n";
    EXPECT_NE(run.process().err().find(said), std::string::npos)
        << "wanted: " << said << "said: " << run.process().err();
    EXPECT_EQ(run.process().err().find("damaged"), std::string::npos)
        << run.process().err();
  }

  std::vector<double> losses(const std::string& name) const {
    std::vector<double> losses;
    for (const auto& line : lines_of(read_text(folder_ / (name + ".metrics")))) {
      losses.push_back(nlohmann::json::parse(line).at("loss"));
    }
    return losses;
  }

  std::string program_;
  Words options_;
  std::mt19937_64 random_;
  TestFolder folder_;
  int64_t step_ = -1;  // that the newest checkpoint was made after
  int kills_ = 0, amid_ = 0;
};

TEST(SaveKill, AWholeCheckpointIsAlwaysThere) {
  const int kills = from_environment("LOCKSTEP_KILLS", 20);
  const auto seed = static_cast<uint64_t>(from_environment(
      "LOCKSTEP_KILL_SEED", static_cast<int>(std::random_device()() % 1000000)));
  std::printf("LOCKSTEP_KILL_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Chain one("single_gpu", {}, seed);
  Chain several("ddp", {"--gpus", "2"}, seed + 1);
  const auto work = [](Chain& chain, int times) {
    for (int i = 0; i < times && !testing::Test::HasFailure(); ++i) chain.kill_once();
    if (!testing::Test::HasFailure()) chain.expect_as_undisturbed();
  };
  const int of_one = kills * 3 / 5;  // which starts sooner
  std::thread beside(work, std::ref(one), of_one);
  work(several, kills - of_one);
  beside.join();
}

}  // namespace
}  // namespace lockstep
