#include "data/cifar.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::data {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t kRecord = CifarRecords::kRecordBytes;

// Record i has label i % 10 and bytes that count upwards from i.
Bytes cifar(size_t records) {
  Bytes bytes;
  for (size_t i = 0; i < records; ++i) {
    bytes.push_back(static_cast<uint8_t>(i % 10));
    for (size_t j = 0; j < CifarRecords::kImageBytes; ++j) {
      bytes.push_back(static_cast<uint8_t>(i + j));
    }
  }
  return bytes;
}

std::string refusal(const Bytes& bytes) {
  try {
    parse_cifar10(bytes, "f");
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.rfind("f: ", 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "accepted";
}

TEST(CifarTest, RecordsAreAViewOfTheBytes) {
  const Bytes bytes = cifar(12);
  const CifarRecords records = parse_cifar10(bytes, "f");
  ASSERT_EQ(records.count(), 12u);
  EXPECT_EQ(records.label(0), 0);
  EXPECT_EQ(records.label(11), 1);
  EXPECT_EQ(records.image(11).data(), bytes.data() + 11 * kRecord + 1);
  EXPECT_EQ(records.image(11).size(), 3072u);
  EXPECT_EQ(records.image(11)[1024], uint8_t{11});
}

TEST(CifarTest, EveryByteIsInARecord) {
  const Bytes two = cifar(2);
  EXPECT_EQ(refusal({}), "f: is empty; fetch the file again");
  for (size_t n = 1; n < two.size(); ++n) {
    if (n == kRecord) continue;
    EXPECT_NE(refusal(Bytes(two.begin(), two.begin() + static_cast<ptrdiff_t>(n))),
              "accepted")
        << n;
  }
  Bytes more = two;
  more.push_back(0);
  EXPECT_EQ(refusal(more),
            "f: 6147 bytes are 2 records of 3073 and 1 bytes more; is it the binary "
            "version? fetch the file again");
}

TEST(CifarTest, ALabelThatIsNoneIsNamed) {
  Bytes bytes = cifar(3);
  bytes[2 * kRecord] = 9;
  EXPECT_EQ(refusal(bytes), "accepted");
  bytes[2 * kRecord] = 10;
  EXPECT_EQ(refusal(bytes), "f: label 2 is 10, outside 0..9; is it the right file?");
}

TEST(CifarTest, RandomLengthsNeverCrash) {
  std::mt19937 random(0);
  for (int i = 0; i < 2000; ++i) {
    Bytes bytes(random() % (3 * kRecord));
    for (size_t at = 0; at < bytes.size(); at += kRecord) bytes[at] = random() % 11;
    refusal(bytes);
  }
}

}  // namespace
}  // namespace lockstep::data
