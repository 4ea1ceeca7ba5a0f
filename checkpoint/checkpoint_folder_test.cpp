#include "checkpoint/checkpoint_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

#include "tests/error_of.h"
#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep::checkpoint {
namespace {

namespace fs = std::filesystem;

// What a step's files hold: of this step and no other.
std::string model_of(int64_t step) {
  std::minstd_rand random(static_cast<unsigned>(step) + 1);
  std::string bytes(3000, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

void save(CheckpointWriter& writer, int64_t step) {
  const std::string model = model_of(step);
  const std::string_view bytes = model;
  const std::string state = "step " + std::to_string(step);
  writer.save(step, {{"model.safetensors", {bytes.substr(0, 100), bytes.substr(100)}},
                     {"state.json", {state}}});
}

class CheckpointFolderTest : public testing::Test {
 protected:
  // -1: none.
  int64_t newest_whole() {
    warnings_.clear();
    const auto found = newest(folder_, [&](const std::string& warning) {
      EXPECT_EQ(warning.find('\n'), std::string::npos);
      warnings_.push_back(warning);
    });
    if (!found) return -1;
    EXPECT_EQ(found->files.size(), 2U);
    EXPECT_EQ(found->files.at("model.safetensors"), model_of(found->step));
    EXPECT_EQ(found->files.at("state.json"), "step " + std::to_string(found->step));
    return found->step;
  }

  TestFolder place_;
  std::string folder_ = place_ / "runs/checkpoints";
  std::vector<std::string> warnings_;
};

TEST_F(CheckpointFolderTest, TheLastOnesAreKept) {
  EXPECT_EQ(newest_whole(), -1) << "no folder yet";
  CheckpointWriter writer(folder_, 3);
  EXPECT_EQ(newest_whole(), -1);
  for (const int64_t step : {0, 5, 10, 15, 100000000}) {
    save(writer, step);
    EXPECT_EQ(newest_whole(), step);
    EXPECT_EQ(read_text(folder_ + "/latest"), folder_name(step) + "\n");
  }
  EXPECT_EQ(place_.names().size(), 2U + 1 + 3 * 4);
  EXPECT_FALSE(fs::exists(folder_ + "/step-00000005"));
  EXPECT_TRUE(fs::exists(folder_ + "/step-00000010/manifest"));
  EXPECT_EQ(checkpoint_at(folder_, 10).step, 10);
  EXPECT_EQ(newest_step(folder_), 100000000);
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(CheckpointFolderTest, ADamagedOneIsNamedAndTheOneBeforeTaken) {
  CheckpointWriter writer(folder_, 3);
  save(writer, 1);
  save(writer, 2);
  std::vector<std::string> files;
  for (const char* name : {"model.safetensors", "state.json", "manifest"}) {
    files.push_back(folder_ + "/step-00000002/" + name);
  }
  std::minstd_rand random(3);
  for (int place = 0; place < 500; ++place) {
    const std::string& file = files[random() % files.size()];
    const std::string good = read_text(file);
    std::string bad = good;
    if (place % 2 == 0) {
      bad[random() % bad.size()] ^= static_cast<char>(1U << random() % 8);
    } else {
      bad.resize(random() % bad.size());
    }
    std::ofstream(file) << bad;
    EXPECT_EQ(newest_whole(), 1) << file << " place " << place;
    ASSERT_EQ(warnings_.size(), 1U);
    EXPECT_NE(warnings_[0].find("/step-00000002/"), std::string::npos) << warnings_[0];
    EXPECT_NE(error_of([&] { checkpoint_at(folder_, 2); }), "none");
    std::ofstream(file) << good;
  }
  EXPECT_EQ(newest_whole(), 2);
  for (const std::string& file : files) {
    fs::rename(file, file + "-away");
    EXPECT_EQ(newest_whole(), 1) << file;
    fs::rename(file + "-away", file);
  }
  // Training goes on from 1: what is newer and damaged makes no room for itself.
  std::ofstream(files[0]) << "damaged";
  CheckpointWriter* same = &writer;
  save(*same, 1);
  EXPECT_EQ(newest_whole(), 1);
  save(*same, 2);
  EXPECT_EQ(newest_whole(), 2) << "replaced";
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(CheckpointFolderTest, WhatIsKeptDoesNotCountDamagedNewerOnes) {
  {
    CheckpointWriter writer(folder_, 3);
    for (const int64_t step : {10, 20, 30}) save(writer, step);
  }
  for (const char* damaged : {"20", "30"}) {
    std::ofstream(folder_ + "/step-000000" + damaged + "/state.json") << "x";
  }
  CheckpointWriter writer(folder_, 1);
  save(writer, 15);
  EXPECT_EQ(newest_whole(), 15);
  EXPECT_FALSE(fs::exists(folder_ + "/step-00000010"));
}

TEST_F(CheckpointFolderTest, LeftoversOfKilledWritersGo) {
  CheckpointWriter writer(folder_, 2);
  fs::create_directories(folder_ + "/.unfinished-0123/deeper");
  std::ofstream(folder_ + "/notes.txt") << "the user's";
  fs::create_directory(folder_ + "/step-7");
  save(writer, 1);
  EXPECT_FALSE(fs::exists(folder_ + "/.unfinished-0123"));
  EXPECT_TRUE(fs::exists(folder_ + "/notes.txt"));
  EXPECT_TRUE(fs::exists(folder_ + "/step-7")) << "no name of ours";
}

TEST_F(CheckpointFolderTest, OneWriterAFolder) {
  {
    const CheckpointWriter first(folder_, 1);
    EXPECT_EQ(error_of([&] { CheckpointWriter(folder_, 1); }),
              "--checkpoint " + folder_ +
                  ": another run writes there; give a folder of its own");
  }
  EXPECT_EQ(error_of([&] { CheckpointWriter(folder_, 1); }), "none");
  std::ofstream(place_ / "file") << "x";
  EXPECT_EQ(error_of([&] {
              CheckpointWriter(place_ / "file", 1);
            }).rfind("--checkpoint " + (place_ / "file") + " cannot be a folder: ", 0),
            0U);
}

// A child that forks before anything else: no LibTorch here, no threads.
pid_t child(const std::function<void()>& act) {
  const pid_t pid = fork();
  if (pid == 0) {
    act();
    _exit(0);
  }
  return pid;
}

// As on a full disk: writing stops in the middle of a file.
TEST_F(CheckpointFolderTest, AFullDiskLeavesTheOneBefore) {
  {
    CheckpointWriter writer(folder_, 1);
    save(writer, 1);
  }
  const auto before = place_.names();
  const pid_t pid = child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    CheckpointWriter writer(folder_, 1);
    const std::string error = error_of([&] { save(writer, 2); });
    const bool named = error.rfind("cannot write " + folder_ + "/", 0) == 0 &&
                       error.find("File too large") != std::string::npos &&
                       error.find('\n') == std::string::npos;
    _exit(named ? 0 : 1);
  });
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(place_.names(), before);
  EXPECT_EQ(newest_whole(), 1);
}

TEST_F(CheckpointFolderTest, AKilledWriterLeavesAWholeOne) {
  {
    CheckpointWriter writer(folder_, 1);
    save(writer, 1);
  }
  const char* kills = std::getenv("LOCKSTEP_KILLS");
  std::minstd_rand random(std::random_device{}());
  int64_t last = 1;
  for (int i = 0; i < (kills == nullptr ? 20 : std::atoi(kills)); ++i) {
    int pipe_ends[2];
    ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
    const pid_t pid = child([&] {
      CheckpointWriter writer(folder_, 1);
      for (int64_t step = last + 1;; ++step) {
        save(writer, step);
        if (write(pipe_ends[1], "x", 1) < 0) _exit(1);
        save(writer, step);  // replaces it
      }
    });
    close(pipe_ends[1]);
    char saved = 0;
    EXPECT_EQ(read(pipe_ends[0], &saved, 1), 1);
    usleep(static_cast<useconds_t>(random() % 50000));
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    close(pipe_ends[0]);
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    const int64_t found = newest_whole();
    ASSERT_GT(found, last) << "kill " << i;
    EXPECT_TRUE(warnings_.empty()) << warnings_[0];
    last = found;
  }
}

}  // namespace
}  // namespace lockstep::checkpoint
