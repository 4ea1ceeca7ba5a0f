#include "config/error.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace lockstep::config {
namespace {

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char letter) { return (letter >= 0 && letter < ' ') || letter == 0x7f; }, '?');
  return text;
}

// Whole letters of UTF-8: what follows a letter's first byte is 10xxxxxx.
std::string shortened(const std::string& text) {
  size_t most = 60;
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return text.substr(0, most) + "...";
}

bool is_bare(const std::string& key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '_' || letter == '-';
  });
}

}  // namespace

Error::Error(const std::string& message) : std::invalid_argument(one_line(message)) {}

std::string Place::text() const {
  if (file == nullptr) return "";
  return line == 0 ? file->name : file->name + ":" + std::to_string(line);
}

bool operator<(const Place& a, const Place& b) {
  const auto rank = [](const Place& place) {
    return std::make_tuple(place.file == nullptr ? -1 : place.file->order, place.line,
                           place.column);
  };
  return rank(a) < rank(b);
}

std::string join(const std::string& path, const std::string& key) {
  const std::string last = is_bare(key) ? shortened(key) : "\"" + shortened(key) + "\"";
  return path.empty() ? last : path + "." + last;
}

std::string quoted(const std::string& text) { return "'" + shortened(text) + "'"; }

void fail_at(const Place& place, const std::string& path, const std::string& what) {
  std::string message = place.text();
  for (const std::string& part : std::array{path, what}) {
    if (!part.empty()) message += (message.empty() ? "" : ": ") + part;
  }
  throw Error(message);
}

}  // namespace lockstep::config
