// Text of numbers, by printf's words.
#pragma once

#include <string>

namespace lockstep::program {

// Longer than 300 bytes it is cut.
std::string formatted(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace lockstep::program
