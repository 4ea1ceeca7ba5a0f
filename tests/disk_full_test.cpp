// A disk that is full before a checkpoint is: the run ends with one line, the last
// whole one stays, nothing half-written beside it, and with some space it goes on.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/program_run.h"
#include "tests/small_disk.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

constexpr int64_t kMiB = 1 << 20;

class DiskFull : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string reason = SmallDisk::cannot();
    if (reason.empty()) return;
    std::printf("WAIVED: tests/disk_full (a small disk): %s\n", reason.c_str());
    GTEST_SKIP() << "waived: no small disk here";
  }

  static Words program(const std::string& folder) {
    return {program_path(GetParam()),
            "--model",
            "mlp",
            "--device",
            "cpu",
            "--threads-per-card",
            "1",
            "--batch-size",
            "8",
            "--steps",
            "20",
            "--checkpoint-every",
            "2",
            "--checkpoint",
            folder,
            "--quiet",
            "--gpus",
            std::string(GetParam()) == "single_gpu" ? "1" : "2"};
  }

  // Its names, without what stands in the checkpoints.
  static std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

TEST_P(DiskFull, EndsTheRunAndHarmsNoCheckpoint) {
  SmallDisk disk(2 * kMiB);  // two checkpoints and half of a third
  const std::string folder = disk.path() + "run";
  const std::string seen = disk.seen_from_here() + "run";
  const auto start = [&](const Words& more) {
    Words words = disk.on(program(folder));
    words.insert(words.end(), more.begin(), more.end());
    return ProgramRun("/usr/bin/" + words[0], {words.begin() + 1, words.end()});
  };
  ProgramRun full = start({});
  expect_refusal(full, 1,
                 {std::string(GetParam()) + ": cannot write " + folder + "/",
                  ".safetensors: No space left on device", "free some space"});
  EXPECT_EQ(names_in(seen),
            (std::vector<std::string>{"latest", "step-00000002", "step-00000004"}));

  ProgramRun still_full = start({"--resume"});
  EXPECT_EQ(still_full.status(), 1);
  const auto said = lines_of(still_full.process().err());
  ASSERT_EQ(said.size(), 2u) << still_full.process().err();
  EXPECT_EQ(said[0], "checkpoint: resuming after step 4");
  EXPECT_NE(said[1].find("No space left on device"), std::string::npos) << said[1];
  EXPECT_EQ(names_in(seen).size(), 3u);

  disk.resize(8 * kMiB);
  ProgramRun enough = start({"--resume"});
  EXPECT_EQ(enough.status(), 0) << enough.process().err();
  EXPECT_EQ(enough.process().err(), "checkpoint: resuming after step 4\n");
  const TestFolder elsewhere;
  const Words words = program(elsewhere / "run");
  ProgramRun whole(words[0], {words.begin() + 1, words.end()});
  EXPECT_EQ(whole.status(), 0) << whole.process().err();
  const std::string manifest = "/step-00000020/manifest";
  EXPECT_NE(read_text(seen + manifest), "");
  EXPECT_EQ(read_text(seen + manifest), read_text(elsewhere / "run" + manifest));
}

INSTANTIATE_TEST_SUITE_P(Programs, DiskFull, testing::Values("single_gpu", "ddp"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lockstep
