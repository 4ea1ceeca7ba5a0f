// A text as sequences of tokens, each byte a token: how many sequences there are, and
// which of them are kept for the test. A plain function over a byte span. Not here:
// files, tensors.
//
// Every failure is a std::runtime_error of one line that begins with `where`, the
// file's name.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lockstep::data {

// The text is cut in sequences of `length` bytes; of each byte the next one is the
// label, the last one's the first of the sequence that follows. What is left at the end
// is not used.
struct TextHalves {
  int64_t train = 0;  // sequences, from the beginning
  int64_t test = 0;   // the last tenth of them, at least one
};

// Every byte must be a token, that is below `vocabulary`, and there must be a sequence
// for each half.
TextHalves cut_text(std::span<const uint8_t> bytes, int64_t length, int64_t vocabulary,
                    std::string_view where);

}  // namespace lockstep::data
