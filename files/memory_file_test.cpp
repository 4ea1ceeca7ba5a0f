#include "files/memory_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "files/output_file.h"

namespace lockstep::files {
namespace {

TEST(MemoryFileTest, OtherProgramsWriteWhatIsReadHere) {
  const MemoryFile file;
  EXPECT_EQ(file.text(), "");
  ASSERT_EQ(std::system(("echo from a shell >" + file.path()).c_str()), 0);
  EXPECT_EQ(file.text(), "from a shell\n");
  EXPECT_EQ(file.text(), "from a shell\n") << "reading takes nothing away";
  check_writable(file.path(), "--report-file");
  write_whole("shorter", file.path());
  EXPECT_EQ(file.text(), "shorter");
}

TEST(MemoryFileTest, IsGoneWithItsScope) {
  std::string path;
  {
    const MemoryFile file;
    path = file.path();
    EXPECT_TRUE(std::ifstream(path).good());
  }
  EXPECT_FALSE(std::ifstream(path).good());
}

}  // namespace
}  // namespace lockstep::files
