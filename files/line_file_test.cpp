#include "files/line_file.h"

#include <gtest/gtest.h>

#include "tests/error_of.h"
#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep::files {
namespace {

TEST(LineFileTest, GrowsByWholeLinesAtOnce) {
  const TestFolder folder;
  const std::string path = folder / "a/b/lines";
  {
    LineFile file(path);
    EXPECT_FALSE(std::filesystem::exists(path)) << "made before it has a line";
    file.append("one");
    EXPECT_EQ(read_text(path), "one\n");
    file.append("two");
    EXPECT_EQ(read_text(path), "one\ntwo\n");
  }
  LineFile again(path);
  again.append("three");
  EXPECT_EQ(read_text(path), "one\ntwo\nthree\n");
}

TEST(LineFileTest, SaysWhatItCannotWrite) {
  const TestFolder folder;
  write_text(folder / "file", "");
  LineFile beneath_a_file(folder / "file/lines");
  EXPECT_NE(error_of([&] {
              beneath_a_file.append("one");
            }).find("cannot write " + (folder / "file/lines") + ": "),
            std::string::npos);
  LineFile full("/dev/full");
  EXPECT_NE(
      error_of([&] { full.append("one"); }).find("cannot write /dev/full: No space"),
      std::string::npos);
}

}  // namespace
}  // namespace lockstep::files
