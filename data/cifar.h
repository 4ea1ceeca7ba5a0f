// The binary format of CIFAR-10: records of a label and an image, nothing before,
// between or behind them. A plain function over a byte span that returns a view into
// it: the span must outlive it. Not here: files, gzip (gzip.h), normalisation, tensors.
// After "Binary version" in https://www.cs.toronto.edu/~kriz/cifar.html.
//
// Every failure is a std::runtime_error of one line that begins with `where`, the
// file's name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lockstep::data {

struct CifarRecords {
  static constexpr int64_t kClasses = 10;
  static constexpr int64_t kChannels = 3;  // red, green, blue, one after the other
  static constexpr int64_t kSide = 32;
  static constexpr size_t kImageBytes = 3 * 32 * 32;
  static constexpr size_t kRecordBytes = 1 + kImageBytes;

  std::span<const uint8_t> bytes;

  size_t count() const { return bytes.size() / kRecordBytes; }
  uint8_t label(size_t i) const { return bytes[i * kRecordBytes]; }
  // [3, 32, 32], row-major, 0..255
  std::span<const uint8_t> image(size_t i) const {
    return bytes.subspan(i * kRecordBytes + 1, kImageBytes);
  }
};

// At least one record, every byte in one, each label below 10.
CifarRecords parse_cifar10(std::span<const uint8_t> bytes, std::string_view where);

}  // namespace lockstep::data
