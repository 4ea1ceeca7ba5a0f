#include "data/text.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace lockstep::data {
namespace {

[[noreturn]] void refuse(std::string_view where, const std::string& why) {
  throw std::runtime_error(std::string(where) + ": " + why);
}

}  // namespace

TextHalves cut_text(std::span<const uint8_t> bytes, int64_t length, int64_t vocabulary,
                    std::string_view where) {
  const int64_t sequences = (static_cast<int64_t>(bytes.size()) - 1) / length;
  if (sequences < 2) {
    refuse(where, "only " + std::to_string(bytes.size()) + " bytes; a sequence of " +
                      std::to_string(length) +
                      " tokens to train on and one to test on need " +
                      std::to_string(2 * length + 1));
  }
  const auto unknown = std::find_if(bytes.begin(), bytes.end(),
                                    [&](uint8_t byte) { return byte >= vocabulary; });
  if (unknown != bytes.end()) {
    refuse(where, "byte " + std::to_string(unknown - bytes.begin()) + " is " +
                      std::to_string(*unknown) + ", and a vocabulary of " +
                      std::to_string(vocabulary) +
                      " has no such token; try --vocab-size 256");
  }
  const int64_t test = std::max<int64_t>(1, sequences / 10);
  return {sequences - test, test};
}

}  // namespace lockstep::data
