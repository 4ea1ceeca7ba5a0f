#include "data/idx.h"

#include <cstdio>
#include <stdexcept>
#include <string>

namespace lockstep::data {
namespace {

constexpr uint32_t kImagesMagic = 0x803;
constexpr uint32_t kLabelsMagic = 0x801;

[[noreturn]] void refuse(std::string_view where, const std::string& why) {
  throw std::runtime_error(std::string(where) + ": " + why);
}

uint32_t big_endian(std::span<const uint8_t> bytes, size_t offset) {
  return uint32_t{bytes[offset]} << 24 | uint32_t{bytes[offset + 1]} << 16 |
         uint32_t{bytes[offset + 2]} << 8 | uint32_t{bytes[offset + 3]};
}

std::string hex(uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08x", number);
  return text;
}

void check_header(std::span<const uint8_t> bytes, size_t header_bytes, uint32_t magic,
                  const std::string& kind, std::string_view where) {
  if (bytes.size() >= 4 && big_endian(bytes, 0) != magic) {
    refuse(where, "magic is " + hex(big_endian(bytes, 0)) + " where IDX " + kind +
                      " have " + hex(magic) + "; is it the right file?");
  }
  if (bytes.size() < header_bytes) {
    refuse(where, "only " + std::to_string(bytes.size()) +
                      " bytes, the header of IDX " + kind + " alone has " +
                      std::to_string(header_bytes) + "; fetch the file again");
  }
}

// `what` is the header's promise in words.
[[noreturn]] void refuse_length(std::string_view where, const std::string& what,
                                bool too_short, size_t found) {
  refuse(where, "the header promises " + what + ", " +
                    (too_short ? "more than the " : "less than the ") +
                    std::to_string(found) +
                    " bytes that follow it; fetch the file again");
}

}  // namespace

IdxImages parse_idx_images(std::span<const uint8_t> bytes, std::string_view where) {
  constexpr size_t kHeaderBytes = 16;
  check_header(bytes, kHeaderBytes, kImagesMagic, "images", where);
  const uint64_t count = big_endian(bytes, 4);
  const uint64_t rows = big_endian(bytes, 8);
  const uint64_t cols = big_endian(bytes, 12);
  const std::string what = std::to_string(count) + " images of " +
                           std::to_string(rows) + " x " + std::to_string(cols);
  if (count == 0 || rows == 0 || cols == 0) {
    refuse(where, "the header promises " + what + ": nothing to learn from");
  }
  std::span<const uint8_t> pixels = bytes.subspan(kHeaderBytes);
  // rows * cols fits 64 bits, count * rows * cols may not: divide instead.
  const uint64_t image_bytes = rows * cols;
  const uint64_t whole = pixels.size() / image_bytes;
  if (whole != count || pixels.size() % image_bytes != 0) {
    refuse_length(where, what, whole < count, pixels.size());
  }
  IdxImages images;
  images.count = static_cast<int64_t>(count);
  images.rows = static_cast<int64_t>(rows);
  images.cols = static_cast<int64_t>(cols);
  images.pixels = pixels;
  return images;
}

std::span<const uint8_t> parse_idx_labels(std::span<const uint8_t> bytes,
                                          int num_classes, std::string_view where) {
  constexpr size_t kHeaderBytes = 8;
  check_header(bytes, kHeaderBytes, kLabelsMagic, "labels", where);
  const uint64_t count = big_endian(bytes, 4);
  std::span<const uint8_t> labels = bytes.subspan(kHeaderBytes);
  if (labels.size() != count) {
    refuse_length(where, std::to_string(count) + " labels", labels.size() < count,
                  labels.size());
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= num_classes) {
      refuse(where, "label " + std::to_string(i) + " is " + std::to_string(labels[i]) +
                        ", outside 0.." + std::to_string(num_classes - 1) +
                        "; is it the right data set?");
    }
  }
  return labels;
}

void check_idx_counts(const IdxImages& images, std::span<const uint8_t> labels,
                      std::string_view images_where, std::string_view labels_where) {
  if (static_cast<uint64_t>(images.count) == labels.size()) return;
  refuse(images_where, std::to_string(images.count) + " images, but " +
                           std::to_string(labels.size()) + " labels in " +
                           std::string(labels_where) +
                           "; both must come from the same data set");
}

}  // namespace lockstep::data
