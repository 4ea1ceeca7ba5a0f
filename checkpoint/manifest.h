// The list of a checkpoint's files: how many, then each one's CRC-32, size and name, a
// line each. Every byte of it counts: it is the one text that these files can have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::checkpoint {

struct ManifestLine {
  std::string name;
  uint64_t size = 0;
  uint32_t crc = 0;
};

// Of bytes that follow those with the checksum `before`.
uint32_t crc_of(std::string_view bytes, uint32_t before = 0);

std::string to_text(const std::vector<ManifestLine>& lines);
// `file` is what errors call it. Throws std::runtime_error.
std::vector<ManifestLine> read_manifest(const std::string& text,
                                        const std::string& file);

}  // namespace lockstep::checkpoint
