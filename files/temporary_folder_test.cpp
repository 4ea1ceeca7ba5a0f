#include "files/temporary_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "tests/test_folder.h"

namespace lockstep::files {
namespace {

TEST(TemporaryFolderTest, IsOnesOwnAndGoneWithItsScope) {
  const lockstep::TestFolder place;
  {
    const TemporaryFolder one(place.path(), "--trace"), other(place.path(), "--trace");
    EXPECT_NE(one.file("a"), other.file("a"));
    std::ofstream(one.file("a")) << "text";
    EXPECT_EQ(place.names().size(), 3U);
    EXPECT_EQ(std::filesystem::status(one.file("")).permissions(),
              std::filesystem::perms::owner_all);
  }
  EXPECT_TRUE(place.names().empty());
}

TEST(TemporaryFolderTest, WhereNoneCanBeTheWayOutIsNamed) {
  const lockstep::TestFolder place;
  try {
    const TemporaryFolder none(place / "none", "--trace");
    FAIL() << "made";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(error.what(), "--trace needs a temporary folder: " + (place / "none") +
                                ": No such file or directory; name a place for it in "
                                "TMPDIR");
  }
}

}  // namespace
}  // namespace lockstep::files
