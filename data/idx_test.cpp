#include "data/idx.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "data/data_folder.h"
#include "data/gzip.h"

namespace lockstep::data {
namespace {

using Bytes = std::vector<uint8_t>;

// Big-endian header numbers, then `body` bytes that count upwards.
Bytes idx(std::initializer_list<uint32_t> header, size_t body) {
  Bytes bytes;
  for (uint32_t number : header) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(number >> shift);
  }
  for (size_t i = 0; i < body; ++i) bytes.push_back(static_cast<uint8_t>(i));
  return bytes;
}

template <typename Parse>
std::string refusal(const Parse& parse) {
  try {
    parse();
  } catch (const std::runtime_error& error) {
    std::string message = error.what();
    EXPECT_EQ(message.rfind("f: ", 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }
  return "accepted";
}

std::string images_refusal(const Bytes& bytes) {
  return refusal([&] { parse_idx_images(bytes, "f"); });
}

std::string labels_refusal(const Bytes& bytes, int num_classes = 10) {
  return refusal([&] { parse_idx_labels(bytes, num_classes, "f"); });
}

TEST(IdxTest, ImagesAreAViewOfTheBytes) {
  Bytes bytes = idx({0x803, 3, 2, 4}, 24);
  IdxImages images = parse_idx_images(bytes, "f");
  EXPECT_EQ(images.count, 3);
  EXPECT_EQ(images.rows, 2);
  EXPECT_EQ(images.cols, 4);
  EXPECT_EQ(images.pixels.size(), 24u);
  EXPECT_EQ(images.pixels.data(), bytes.data() + 16);
}

TEST(IdxTest, LabelsAreAViewOfTheBytes) {
  Bytes bytes = idx({0x801, 10}, 10);
  auto labels = parse_idx_labels(bytes, 10, "f");
  EXPECT_EQ(labels.size(), 10u);
  EXPECT_EQ(labels.data(), bytes.data() + 8);
  EXPECT_EQ(labels[9], 9);
}

TEST(IdxTest, AWrongMagicIsQuotedWithTheRightOne) {
  EXPECT_EQ(images_refusal(idx({0x801, 1, 1, 1}, 1)),
            "f: magic is 0x00000801 where IDX images have 0x00000803; is it the right "
            "file?");
  EXPECT_EQ(labels_refusal(idx({0x803, 1}, 1)),
            "f: magic is 0x00000803 where IDX labels have 0x00000801; is it the right "
            "file?");
  // The magic is looked at first: a short wrong file is a wrong one before it is short.
  EXPECT_NE(images_refusal({0x1f, 0x8b, 8, 0}).find("0x1f8b0800"), std::string::npos);
}

TEST(IdxTest, EveryTruncationIsRefused) {
  Bytes images = idx({0x803, 3, 2, 4}, 24);
  for (size_t n = 0; n < images.size(); ++n) {
    std::string message = images_refusal(Bytes(images.begin(), images.begin() + n));
    EXPECT_NE(message.find(std::to_string(n < 16 ? n : n - 16) + " bytes"),
              std::string::npos)
        << n << message;
  }
  Bytes labels = idx({0x801, 9}, 9);
  for (size_t n = 0; n < labels.size(); ++n) {
    EXPECT_NE(labels_refusal(Bytes(labels.begin(), labels.begin() + n)), "accepted")
        << n;
  }
}

TEST(IdxTest, TrailingBytesAreRefused) {
  EXPECT_EQ(images_refusal(idx({0x803, 3, 2, 4}, 25)),
            "f: the header promises 3 images of 2 x 4, less than the 25 bytes that "
            "follow it; fetch the file again");
  EXPECT_NE(images_refusal(idx({0x803, 3, 2, 4}, 32)), "accepted");
  EXPECT_EQ(labels_refusal(idx({0x801, 9}, 10)),
            "f: the header promises 9 labels, less than the 10 bytes that follow it; "
            "fetch the file again");
}

TEST(IdxTest, ProductsThatOverflowAreRefused) {
  // 2^32 * 2^32 * 2^32 and products that are 0 or small modulo 2^64.
  const uint32_t max = 0xffffffff;
  EXPECT_NE(images_refusal(idx({0x803, max, max, max}, 1)), "accepted");
  EXPECT_NE(images_refusal(idx({0x803, 1u << 31, 1u << 31, 4}, 0)), "accepted");
  EXPECT_NE(images_refusal(idx({0x803, 0x10000, 0x10000, max}, 64)), "accepted");
  EXPECT_NE(images_refusal(idx({0x803, 0x80000001, 0x80000000, 2}, 0)), "accepted");
  EXPECT_NE(labels_refusal(idx({0x801, max}, 3)), "accepted");
}

TEST(IdxTest, NothingToLearnFromIsRefused) {
  EXPECT_NE(images_refusal(idx({0x803, 0, 28, 28}, 0)), "accepted");
  EXPECT_NE(images_refusal(idx({0x803, 5, 0, 28}, 0)), "accepted");
  EXPECT_NE(images_refusal(idx({0x803, 5, 28, 0}, 0)), "accepted");
}

TEST(IdxTest, ALabelOutOfRangeIsNamed) {
  EXPECT_EQ(labels_refusal(idx({0x801, 12}, 12)),
            "f: label 10 is 10, outside 0..9; is it the right data set?");
  EXPECT_EQ(labels_refusal(idx({0x801, 256}, 256), 256), "accepted");
}

TEST(IdxTest, CountsThatDifferAreNamed) {
  Bytes images = idx({0x803, 2, 1, 1}, 2);
  Bytes labels = idx({0x801, 3}, 3);
  auto parsed = parse_idx_images(images, "f");
  EXPECT_EQ(refusal([&] {
              check_idx_counts(parsed, parse_idx_labels(labels, 10, "g"), "f", "g");
            }),
            "f: 2 images, but 3 labels in g; both must come from the same data set");
  labels = idx({0x801, 2}, 2);
  check_idx_counts(parsed, parse_idx_labels(labels, 10, "g"), "f", "g");
}

TEST(IdxTest, RandomBytesNeverCrash) {
  std::mt19937 random(0);
  int accepted = 0;
  for (int i = 0; i < 100000; ++i) {
    Bytes bytes(random() % 40);
    for (uint8_t& byte : bytes)
      byte = random() % 4 == 0 ? random() % 256 : random() % 3;
    // A right magic more often than chance would have it, and small numbers after it.
    const Bytes magic{0, 0, 8, static_cast<uint8_t>(i % 2 == 0 ? 3 : 1)};
    for (size_t j = 0; j < bytes.size() && j < 16; ++j) {
      if (j < 4) bytes[j] = magic[j];
      if (j >= 4 && j % 4 != 3 && random() % 16 != 0) bytes[j] = 0;
    }
    accepted += images_refusal(bytes) == "accepted";
    accepted += labels_refusal(bytes) == "accepted";
  }
  EXPECT_GT(accepted, 0) << "the right ones are never tried";
}

// Debian's package, which the README asks for: no skip, a test that does not run is no
// test.
TEST(IdxTest, TheRealImagesParse) {
  IdxFiles files = find_idx_files("fashion-mnist");
  auto check = [](const std::filesystem::path& images_path,
                  const std::filesystem::path& labels_path, int64_t count) {
    Bytes image_bytes = read_maybe_gzip(images_path);
    Bytes label_bytes = read_maybe_gzip(labels_path);
    IdxImages images = parse_idx_images(image_bytes, images_path.string());
    auto labels = parse_idx_labels(label_bytes, 10, labels_path.string());
    check_idx_counts(images, labels, images_path.string(), labels_path.string());
    EXPECT_EQ(images.count, count);
    EXPECT_EQ(images.rows, 28);
    EXPECT_EQ(images.cols, 28);
    std::vector<int64_t> of_class(10);
    for (uint8_t label : labels) ++of_class[label];
    EXPECT_EQ(of_class, std::vector<int64_t>(10, count / 10));
  };
  check(files.train_images, files.train_labels, 60000);
  check(files.test_images, files.test_labels, 10000);
}

}  // namespace
}  // namespace lockstep::data
