// What stands in a file, and a file of that. For tests alone.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

namespace lockstep {

inline std::string read_text(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace lockstep
