// How the engine ends: by ranks that stall, go or shut down; what it costs while
// nothing happens, and the timeline that it leaves.
#include <ATen/Functions.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "comm/peer_watch.h"
#include "horovod/engine.h"
#include "tests/engines.h"
#include "tests/error_of.h"
#include "tests/test_folder.h"

namespace lockstep::horovod {
namespace {

using std::chrono::milliseconds;

at::Tensor filled(double value) { return at::full({3}, value, at::kFloat); }

// Returns when all ranks have brought one together: before that nobody may leave.
void meet(Engine& engine, std::atomic<int>& met) {
  engine.allreduce(filled(1), "a", ReduceOp::sum).wait();
  ++met;
  while (met < engine.size()) std::this_thread::sleep_for(milliseconds(1));
}

// The times are long beside those that a busy machine's threads wait for a core.
TEST(Engine, NamesARankThatStopsSubmitting) {
  EngineRanks ranks;
  ranks.size = 3;
  ranks.settings.stall_warning = negotiation::Seconds(0.5);
  ranks.settings.stall_shutdown = negotiation::Seconds(1.5);
  std::atomic<int> met = 0, ended = 0;
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    const std::string expected =
        "tensors wait for other ranks for 1.5 s, and "
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS allows no more: rank 1 has not submitted "
        "a, b";
    meet(*engine, met);
    if (engine->rank() == 1) {
      // Busy with something else until all is over.
      while (ended < 2) std::this_thread::sleep_for(milliseconds(5));
      EXPECT_EQ(error_of([&] { engine->shutdown(); }), expected);
      EXPECT_EQ(error_of([&] { engine->allreduce(filled(1), "c", ReduceOp::sum); }),
                expected);
      return;
    }
    Handle a = engine->allreduce(filled(1), "a", ReduceOp::sum);
    Handle b = engine->allreduce(filled(1), "b", ReduceOp::sum);
    EXPECT_EQ(error_of([&] { a.wait(); }), expected);
    EXPECT_EQ(error_of([&] { b.wait(); }), expected);
    ++ended;
  });
  const auto lines = ranks.warnings.lines();
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines.back().find("rank 1 has not submitted a, b"), std::string::npos)
      << lines.back();
}

TEST(Engine, TellsTheOthersOfARankThatHasGone) {
  for (const int leaves : {0, 1, 2}) {
    EngineRanks ranks;
    ranks.size = 3;
    std::atomic<int> met = 0;
    ranks.run([&](std::unique_ptr<Engine>& engine) {
      meet(*engine, met);
      if (engine->rank() == leaves) return engine.reset();
      // Whether or not it was submitted before the news came.
      EXPECT_THROW(engine->allreduce(filled(1), "a", ReduceOp::sum).wait(),
                   comm::CommError);
      EXPECT_THROW(engine->shutdown(), comm::CommError);
    });
  }
}

TEST(Engine, FailsWhatWaitsForARankThatShutDown) {
  EngineRanks ranks;
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    if (engine->rank() == 1) return engine->shutdown();
    const std::string error =
        error_of([&] { engine->allreduce(filled(1), "a", ReduceOp::sum).wait(); });
    // Whether or not it was submitted before the news came.
    EXPECT_TRUE(error == "tensor a still waited when rank 1 shut Horovod down" ||
                error == "Horovod has been shut down; submit before shutdown()")
        << error;
    engine->shutdown();
  });
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// In processor time, not by the clock on the wall: under 3 % of a core a rank, with the
// backend's own threads.
TEST(Engine, CostsNothingWhileIdle) {
  constexpr int kRanks = 4;
  constexpr double kSeconds = 0.5;
  EngineRanks ranks;
  ranks.size = kRanks;
  std::atomic<int> idle = 0;
  std::atomic<bool> over = false;
  double used = 0;
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    engine->allreduce(filled(1), "a", ReduceOp::sum).wait();
    const int64_t cycles = engine->counts().cycles;
    ++idle;
    if (engine->rank() == 0) {
      while (idle < kRanks) std::this_thread::sleep_for(milliseconds(1));
      const double before = cpu_seconds();
      std::this_thread::sleep_for(std::chrono::duration<double>(kSeconds));
      used = cpu_seconds() - before;
      over = true;
    }
    while (!over) std::this_thread::sleep_for(milliseconds(50));
    EXPECT_EQ(engine->counts().cycles, cycles);
    engine->shutdown();
  });
  const double share = used / kSeconds / kRanks;
  std::printf("%.2f %% of a core a rank\n", 100 * share);
  EXPECT_LT(share, 0.03);
}

TEST(Engine, LeavesATimelineOfItsPhases) {
  const TestFolder folder;
  EngineRanks ranks;
  ranks.settings.timeline = folder / "t.json";
  ranks.settings.timeline_mark_cycles = true;
  ranks.settings.cycle_time = milliseconds(150);
  ranks.run([](std::unique_ptr<Engine>& engine) {
    engine->allreduce(filled(1), "alone", ReduceOp::sum).wait();
    Handle a = engine->allreduce(filled(1), "a", ReduceOp::sum);
    Handle b = engine->allreduce(filled(1), "b", ReduceOp::sum);
    a.wait();
    b.wait();
    engine->broadcast(filled(1), "sent", 0).wait();
    engine->shutdown();
  });
  std::ifstream file(folder / "t.json");
  const nlohmann::json trace = nlohmann::json::parse(file);
  std::map<int, std::string> lanes = {{0, ""}};
  std::map<std::string, std::string> told;
  for (const auto& event : trace.at("traceEvents")) {
    const int pid = event.at("pid");
    if (event.at("ph") == "M") {
      if (event.at("name") == "process_name") lanes[pid] = event.at("args").at("name");
    } else if (event.at("ph") != "X") {  // ticks of ranks come in either order
      told[lanes.at(pid)] += event.value("name", "/") + " ";
    } else {
      told[lanes.at(pid)] += "rank ";
    }
  }
  EXPECT_EQ(told["alone"],
            "NEGOTIATE_ALLREDUCE rank rank / ALLREDUCE QUEUE / GLOO_ALLREDUCE / / ");
  EXPECT_EQ(told["a"],
            "NEGOTIATE_ALLREDUCE rank rank / ALLREDUCE QUEUE / MEMCPY_IN_FUSION_BUFFER "
            "/ GLOO_ALLREDUCE / MEMCPY_OUT_FUSION_BUFFER / / ");
  EXPECT_EQ(told["sent"],
            "NEGOTIATE_BROADCAST rank rank / BROADCAST QUEUE / GLOO_BCAST / / ");
  EXPECT_EQ(told[""].rfind("CYCLE_START CYCLE_START", 0), 0U);
}

// Also of a run that ends by an error.
TEST(Engine, LeavesATimelineOfAnErrorsRun) {
  const TestFolder folder;
  EngineRanks ranks;
  ranks.settings.timeline = folder / "t.json";
  std::atomic<int> met = 0;
  ranks.run([&](std::unique_ptr<Engine>& engine) {
    meet(*engine, met);
    if (engine->rank() == 1) return engine.reset();
    EXPECT_NE(
        error_of([&] { engine->allreduce(filled(1), "a", ReduceOp::sum).wait(); }),
        "none");
  });
  std::ifstream file(folder / "t.json");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("NEGOTIATE_ALLREDUCE"), std::string::npos) << text.str();
  EXPECT_NO_THROW(static_cast<void>(nlohmann::json::parse(text.str())));
}

}  // namespace
}  // namespace lockstep::horovod
