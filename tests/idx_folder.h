// A small data set of IDX files, whole or spoiled in one way. For tests alone.
#pragma once

#include <cstdint>
#include <string>

#include "tests/program_run.h"

namespace lockstep {

inline std::string big_endian(uint32_t number) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes += static_cast<char>(number >> shift & 0xFF);
  }
  return bytes;
}

inline std::string idx_images(uint32_t count, uint32_t magic = 0x803) {
  return big_endian(magic) + big_endian(count) + big_endian(28) + big_endian(28) +
         std::string(size_t{count} * 28 * 28, '\x40');
}

inline std::string idx_labels(uint32_t count, char label = 3) {
  return big_endian(0x801) + big_endian(count) + std::string(count, label);
}

constexpr uint32_t kTrainImages = 256;

struct IdxFolder {
  TestFolder folder;
  std::string path = folder / "";

  IdxFolder() {
    write("train-images-idx3-ubyte", idx_images(kTrainImages));
    write("train-labels-idx1-ubyte", idx_labels(kTrainImages));
    write("t10k-images-idx3-ubyte", idx_images(16));
    write("t10k-labels-idx1-ubyte", idx_labels(16));
  }
  void write(const std::string& name, const std::string& bytes) const {
    write_text(folder / name, bytes);
  }
  void remove(const std::string& name) const { std::filesystem::remove(folder / name); }
};

}  // namespace lockstep
