#include "data/gzip.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <zlib.h>

#include <fstream>
#include <random>
#include <stdexcept>
#include <string>

#include "tests/test_folder.h"

namespace lockstep::data {
namespace {

using Bytes = std::vector<uint8_t>;
namespace fs = std::filesystem;

Bytes gzip(const Bytes& plain, int format = MAX_WBITS + 16) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, format, 8, Z_DEFAULT_STRATEGY);
  Bytes result(deflateBound(&stream, plain.size()) + 64);
  stream.next_in = const_cast<uint8_t*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = result.data();
  stream.avail_out = static_cast<uInt>(result.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

Bytes some_bytes(size_t n) {
  std::mt19937 random(static_cast<unsigned>(n));
  Bytes bytes(n);
  // Half noise, half repetition: stored, literal and matched blocks.
  for (size_t i = 0; i < n; ++i) bytes[i] = i < n / 2 ? random() : i / 100;
  return bytes;
}

Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string refusal(const Bytes& bytes, uint64_t max_bytes = kMaxFileBytes) {
  try {
    gunzip(bytes, "x.gz", max_bytes);
  } catch (const std::runtime_error& error) {
    std::string message = error.what();
    EXPECT_EQ(message.rfind("x.gz: ", 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "accepted";
}

bool says(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

fs::path write(const fs::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return path;
}

TEST(GzipTest, GivesBackWhatWasCompressed) {
  for (size_t n : {0, 1, 2, 1000, 65535, 65536, 300000}) {
    EXPECT_EQ(gunzip(gzip(some_bytes(n))), some_bytes(n)) << n;
  }
  Bytes zeros(5000000);  // close to deflate's best ratio
  EXPECT_EQ(gunzip(gzip(zeros)), zeros);
}

TEST(GzipTest, MembersAreJoined) {
  Bytes both = joined(gzip(some_bytes(70000)), gzip(some_bytes(10)));
  EXPECT_EQ(gunzip(both), joined(some_bytes(70000), some_bytes(10)));
  EXPECT_EQ(gunzip(joined(both, gzip({}))).size(), 70010u);
}

TEST(GzipTest, EveryTruncationIsRefused) {
  Bytes whole = gzip(some_bytes(3000));
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string message = refusal(Bytes(whole.begin(), whole.begin() + n));
    EXPECT_TRUE(says(message, n < 2 ? "is not gzip" : "truncated")) << n << message;
  }
  Bytes two = joined(whole, whole);
  for (size_t n = whole.size() + 1; n < two.size(); ++n) {
    EXPECT_NE(refusal(Bytes(two.begin(), two.begin() + n)), "accepted") << n;
  }
}

TEST(GzipTest, CorruptionIsRefused) {
  Bytes plain = some_bytes(3000);
  Bytes whole = gzip(plain);
  // The ten bytes before the data hold a time and flags: not all of them are checked.
  for (size_t i = 10; i < whole.size(); ++i) {
    Bytes broken = whole;
    broken[i] ^= 0x10;
    EXPECT_NE(refusal(broken), "accepted") << i;
  }
  Bytes checksum = whole;
  checksum[whole.size() - 5] ^= 1;
  EXPECT_TRUE(says(refusal(checksum), "corrupted (incorrect data check)"));
}

TEST(GzipTest, WhatFollowsTheStreamIsRefused) {
  EXPECT_TRUE(says(refusal(joined(gzip(some_bytes(10)), {0, 0, 0})),
                   "3 bytes that are not gzip follow"));
}

TEST(GzipTest, OtherFormatsAreRefused) {
  EXPECT_TRUE(says(refusal({}), "is not gzip"));
  EXPECT_TRUE(says(refusal(gzip(some_bytes(10), MAX_WBITS)), "is not gzip"));
  EXPECT_TRUE(says(refusal({'P', 'K', 3, 4}), "is not gzip"));
}

TEST(GzipTest, RandomBytesNeverCrash) {
  std::mt19937 random(0);
  Bytes good = gzip(some_bytes(500));
  for (int i = 0; i < 4000; ++i) {
    Bytes bytes = good;
    for (size_t n = 1 + random() % 8; n > 0; --n) {
      bytes[2 + random() % (bytes.size() - 2)] = static_cast<uint8_t>(random());
    }
    if (i % 2 == 0) bytes.resize(2 + random() % bytes.size());
    refusal(bytes, 1 << 20);
  }
}

TEST(GzipTest, ABombIsRefusedAtTheBound) {
  Bytes bomb = gzip(Bytes(1000000));
  EXPECT_TRUE(says(refusal(bomb, 999999), "more than 999999 bytes"));
  EXPECT_EQ(gunzip(bomb, "x.gz", 1000000).size(), 1000000u);
  // A trailer that promises 4 GiB must not have it allocated: the address sanitizer's
  // limit, and the machine's, would be felt here.
  Bytes liar = gzip(some_bytes(100));
  for (size_t i = liar.size() - 4; i < liar.size(); ++i) liar[i] = 0xff;
  EXPECT_TRUE(says(refusal(liar), "corrupted (incorrect length check)"));
}

TEST(GzipTest, FilesAreReadPlainOrGzippedByTheirMagic) {
  const TestFolder folder;
  for (size_t n : {0, 1, 65536, 200000}) {
    fs::path plain = write(folder / "named.gz", some_bytes(n));
    EXPECT_EQ(read_file(plain), some_bytes(n));
    EXPECT_EQ(read_maybe_gzip(plain), some_bytes(n));
    fs::path zipped = write(folder / "plain-name", gzip(some_bytes(n)));
    EXPECT_EQ(read_maybe_gzip(zipped), some_bytes(n));
    EXPECT_EQ(read_file(zipped), gzip(some_bytes(n)));
  }
}

TEST(GzipTest, UnreadableFilesAreNamed) {
  const TestFolder folder;
  auto message = [](const fs::path& path) -> std::string {
    try {
      read_maybe_gzip(path);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "read";
  };
  fs::path missing = folder / "missing";
  EXPECT_EQ(message(missing),
            missing.string() + ": cannot be read: No such file or directory");
  EXPECT_EQ(message(folder.path()), folder.path().string() + ": is a folder");
  const fs::path pipe = folder / "pipe";  // with nobody at its other end
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(message(pipe), pipe.string() + ": is no regular file");
  EXPECT_EQ(message("/dev/zero"), "/dev/zero: is no regular file");
  Bytes whole = gzip(some_bytes(100));
  fs::path half = write(folder / "half.gz", Bytes(whole.begin(), whole.begin() + 50));
  EXPECT_EQ(message(half), half.string() +
                               ": gzip stream is truncated after 50 bytes; fetch the "
                               "file again");
}

}  // namespace
}  // namespace lockstep::data
