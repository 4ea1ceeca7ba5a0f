#include "program/formatted.h"

#include <cstdarg>
#include <cstdio>

namespace lockstep::program {

std::string formatted(const char* format, ...) {
  char text[300];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  return text;
}

}  // namespace lockstep::program
