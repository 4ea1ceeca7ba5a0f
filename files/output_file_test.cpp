#include "files/output_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/error_of.h"
#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep::files {
namespace {

namespace fs = std::filesystem;

class OutputFileTest : public testing::Test {
 protected:
  size_t files() const { return folder_.names().size(); }
  TestFolder folder_;
};

// Whole or not at all: where the new one cannot be written, the old one is left as it
// was.
TEST_F(OutputFileTest, AnErrorLeavesNothingHalfWritten) {
  const std::string missing = folder_ / "no/metrics.jsonl";
  EXPECT_EQ(error_of([&] { write_whole("text", missing); }),
            "cannot write " + missing +
                ": No such file or directory; free some space or give another path");

  const fs::path folder = folder_ / "is_a_folder";
  fs::create_directory(folder);
  EXPECT_NE(error_of([&] { write_whole("text", folder); }), "none");
  EXPECT_EQ(files(), 1U);
  EXPECT_TRUE(fs::is_directory(folder));
  EXPECT_TRUE(fs::is_empty(folder));
  EXPECT_EQ(error_of([&] { write_whole("text", "/dev/full"); }),
            "cannot write /dev/full: No space left on device; free some space or give "
            "another path");
}

TEST_F(OutputFileTest, ANewFileReplacesTheOldOneInOneStep) {
  const fs::path path = folder_ / "report.json";
  std::ofstream(path) << "old";
  std::ifstream reader(path);  // who reads the old one goes on reading it
  write_whole("new\n", path);
  std::string text;
  reader >> text;
  EXPECT_EQ(text, "old");
  EXPECT_EQ(read_text(path), "new\n");
  EXPECT_EQ(files(), 1U) << "nothing temporary is left";
}

// Else somebody could put a link there first, and have what it leads to overwritten.
TEST_F(OutputFileTest, NobodyKnowsTheTemporaryNameBefore) {
  const fs::path guess = folder_ / ("file.tmp-" + std::to_string(getpid()));
  std::ofstream(folder_ / "precious") << "kept";
  fs::create_symlink(folder_ / "precious", guess);
  check_writable(folder_ / "file", "--trace");
  write_whole("text", folder_ / "file");
  EXPECT_EQ(read_text(folder_ / "file"), "text");
  EXPECT_EQ(read_text(folder_ / "precious"), "kept");
  EXPECT_TRUE(fs::is_symlink(guess));
}

TEST_F(OutputFileTest, AFileHasTheUsersUsualRights) {
  const mode_t before = umask(027);
  write_whole("text", folder_ / "file");
  umask(before);
  EXPECT_EQ(fs::status(folder_ / "file").permissions(), fs::perms(0640));
}

TEST_F(OutputFileTest, ALinkStaysALinkAndAPipeAPipe) {
  const fs::path target = folder_ / "target";
  const fs::path link = folder_ / "link";
  std::ofstream(target) << "old";
  fs::create_symlink(target, link);
  check_writable(link, "--report-file");
  write_whole("text\n", link);
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_text(target), "text\n");

  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  check_writable(pipe, "--report-file");
  std::string read;
  std::thread reader([&] { std::getline(std::ifstream(pipe), read); });
  write_whole("text\n", pipe);
  reader.join();
  EXPECT_EQ(read, "text");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(OutputFileTest, WritableIsAskedBeforeTraining) {
  const fs::path path = folder_ / "metrics.jsonl";
  check_writable(path, "--metrics-file");
  EXPECT_EQ(files(), 0U) << "asking leaves nothing behind";
  std::ofstream(path) << "old";
  check_writable(path, "--metrics-file");
  EXPECT_EQ(read_text(path), "old");

  const std::string way_out = "; give a path in a folder that exists and is yours";
  const std::string missing = folder_ / "no/file";
  EXPECT_EQ(error_of([&] { check_writable(missing, "--metrics-file"); }),
            "--metrics-file " + missing +
                " cannot be written: No such file or directory" + way_out);
  EXPECT_EQ(error_of([&] { check_writable(folder_.path(), "--report-file"); }),
            "--report-file " + folder_.path().string() +
                " cannot be written: Is a directory" + way_out);
  const std::string under_a_file = path / "file";
  EXPECT_EQ(error_of([&] { check_writable(under_a_file, "--report-file"); }),
            "--report-file " + under_a_file + " cannot be written: Not a directory" +
                way_out);
}

TEST_F(OutputFileTest, ALinkMayBeThereBeforeItsFile) {
  fs::create_directory(folder_ / "folder");
  const fs::path link = folder_ / "link", second = folder_ / "second";
  fs::create_symlink("folder/new", link);  // from where the link lies
  fs::create_symlink(link, second);
  EXPECT_NE(error_of([&] { check_apart({{"--a", second}, {"--b", link}}); }), "none");
  check_writable(second, "--report-file");
  write_whole("text\n", second);
  EXPECT_TRUE(fs::is_symlink(link) && fs::is_symlink(second));
  EXPECT_EQ(read_text(folder_ / "folder/new"), "text\n");

  const fs::path round = folder_ / "round";
  fs::create_symlink("round", round);
  check_writable(round, "--report-file");  // it comes to an end
}

// Whatever the path is called by; a device takes them all.
TEST_F(OutputFileTest, TwoOutputsIntoOneFileAreRefused) {
  const std::string file = folder_ / "file";
  fs::create_directory(folder_ / "folder");
  fs::create_symlink(file, folder_ / "link");
  for (const bool there : {false, true}) {
    if (there) std::ofstream(file) << "old";
    for (const std::string& same : {file, folder_ / "./folder/../file"}) {
      EXPECT_EQ(
          error_of([&] {
            check_apart({{"--a", file}, {"--b", folder_ / "x"}, {"--c", same}});
          }),
          "--a and --c would both write " + same + "; give each a file of its own");
    }
  }
  EXPECT_EQ(error_of([&] {
              check_apart({{"--a", folder_ / "link"}, {"--b", file}});
            }),
            "--a and --b would both write " + file + "; give each a file of its own");
  EXPECT_EQ(error_of([] {
              check_apart({{"--a", "no-such-file"}, {"--b", "./no-such-file"}});
            }),
            "--a and --b would both write ./no-such-file; give each a file of its own");
  check_apart({{"--a", file}, {"--b", folder_ / "file2"}});
  check_apart({{"--a", "/dev/null"}, {"--b", "/dev/null"}});
  check_apart({});
}

TEST(WriteAll, OnesFailureCostsNoOther) {
  std::string done;
  const auto fails = [](const std::string& why) {
    return [why] { throw std::runtime_error(why); };
  };
  EXPECT_EQ(error_of([&] {
              write_all({[&] { done += "a"; }, fails("no b"), [&] { done += "c"; },
                         fails("no d"), [&] { done += "e"; }});
            }),
            "no b; and no d");
  EXPECT_EQ(done, "ace");
  EXPECT_EQ(error_of([] { write_all({}); }), "none");
}

}  // namespace
}  // namespace lockstep::files
