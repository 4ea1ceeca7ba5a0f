#include "agent/lines.h"

#include <gtest/gtest.h>

namespace lockstep::agent {
namespace {

TEST(Lines, AreWholeHoweverTheBytesCome) {
  const std::string text = "one\n\ntwo and more\r\nthree\n";
  const std::string wanted = "[0] one\n[0] \n[0] two and more\n[0] three\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    Lines lines("[0] ");
    std::string got;
    for (size_t at = 0; at < text.size(); at += piece) {
      got += lines.take(std::string_view(text).substr(at, piece));
    }
    EXPECT_EQ(got, wanted) << "in pieces of " << piece;
    EXPECT_EQ(lines.rest(), "");
  }
}

TEST(Lines, ThatNobodyEndedComeAtTheEnd) {
  Lines lines("[1] ");
  EXPECT_EQ(lines.take("half"), "");
  EXPECT_EQ(lines.take(" and half"), "");
  EXPECT_EQ(lines.rest(), "[1] half and half\n");
  EXPECT_EQ(lines.rest(), "");
}

// As Python's tqdm draws one.
TEST(Lines, ABarThatIsDrawnOverItself) {
  Lines lines("> ");
  EXPECT_EQ(lines.take("\r 0%\r 50%"), ">  0%\n");
  EXPECT_EQ(lines.take("\r100%\n"), ">  50%\n> 100%\n");
}

TEST(Lines, OfAnyBytesAreWhatTheyWere) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) {
    if (c != '\n' && c != '\r') bytes += static_cast<char>(c);
  }
  Lines lines("");
  EXPECT_EQ(lines.take(bytes + "\n"), bytes + "\n");
}

TEST(Lines, ThatAreVeryLongAreCutAndNothingIsLost) {
  const std::string text(Lines::kLongest * 2 + 5, 'x');
  Lines lines("");
  const std::string got = lines.take(text + "\n" + text) + lines.rest();
  std::string without_ends;
  size_t longest = 0, length = 0;
  for (const char c : got) {
    length = c == '\n' ? 0 : length + 1;
    longest = std::max(longest, length);
    if (c != '\n') without_ends += c;
  }
  EXPECT_EQ(without_ends, text + text);
  EXPECT_EQ(longest, Lines::kLongest);
  EXPECT_EQ(Lines("").take(std::string(Lines::kLongest, 'x') + "\n").size(),
            Lines::kLongest + 1)
      << "no empty line after one that just fits";
}

TEST(Lines, TheLastOnesAreKept) {
  Lines lines("[0] ");
  for (int i = 0; i < 25; ++i) lines.take(std::to_string(i) + "\n");
  ASSERT_EQ(lines.last().size(), Lines::kKept);
  EXPECT_EQ(lines.last().front(), "15");
  EXPECT_EQ(lines.last().back(), "24");
}

}  // namespace
}  // namespace lockstep::agent
