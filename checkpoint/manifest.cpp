#include "checkpoint/manifest.h"

#include <zlib.h>

#include <cstdio>
#include <sstream>
#include <stdexcept>

namespace lockstep::checkpoint {

uint32_t crc_of(std::string_view bytes, uint32_t before) {
  return static_cast<uint32_t>(
      crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string to_text(const std::vector<ManifestLine>& lines) {
  std::string text = "checkpoint 1: " + std::to_string(lines.size()) + " files\n";
  for (const ManifestLine& line : lines) {
    char crc[16];
    std::snprintf(crc, sizeof(crc), "%08x", line.crc);
    text += std::string(crc) + " " + std::to_string(line.size) + " " + line.name + "\n";
  }
  return text;
}

std::vector<ManifestLine> read_manifest(const std::string& text,
                                        const std::string& file) {
  std::istringstream stream(text);
  std::string first;
  std::getline(stream, first);
  std::vector<ManifestLine> lines;
  for (std::string line; std::getline(stream, line);) {
    ManifestLine one;
    std::istringstream words(line);
    words >> std::hex >> one.crc >> std::dec >> one.size >> one.name;
    lines.push_back(one);
  }
  if (text != to_text(lines)) {
    throw std::runtime_error(file + " is damaged: it is not as it was written");
  }
  for (const ManifestLine& line : lines) {
    if (line.name.find('/') != std::string::npos) {
      throw std::runtime_error(file + " names a file elsewhere");
    }
  }
  return lines;
}

}  // namespace lockstep::checkpoint
