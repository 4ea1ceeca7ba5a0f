#include "launch/host_list.h"

#include <charconv>
#include <stdexcept>
#include <string_view>

#include "launch/environment.h"

namespace lockstep::launch {
namespace {

// No cluster has so many; a typing error may ask for more than memory holds.
constexpr size_t kMostHosts = 1000000;

class Reader {
 public:
  Reader(const std::string& list, const char* kind) : list_(list), kind_(kind) {}

  bool at_end() const { return at_ == list_.size(); }
  char peek() const { return at_end() ? '\0' : list_[at_]; }
  bool take(char c) {
    if (at_end() || list_[at_] != c) return false;
    ++at_;
    return true;
  }
  void demand(char c) {
    if (!take(c)) refuse(std::string("'") + c + "' is missing");
  }

  // Up to one of `stops`; a host's name has none of the characters that mean something.
  std::string_view word(std::string_view stops) {
    const size_t from = at_;
    for (; !at_end() && stops.find(list_[at_]) == std::string_view::npos; ++at_) {
      const char c = list_[at_];
      if (c <= ' ' || c == 0x7f || c == '(' || c == ')' || c == ']') {
        refuse("a host has no such character");
      }
    }
    return std::string_view(list_).substr(from, at_ - from);
  }

  // `digits`: how many it was written with, zeros in front included.
  int number(size_t* digits = nullptr) {
    int value = 0;
    const char* begin = list_.data() + at_;
    // from_chars would take a minus.
    if (peek() < '0' || peek() > '9') refuse("a number is missing");
    const auto [rest, error] =
        std::from_chars(begin, list_.data() + list_.size(), value);
    if (error != std::errc()) refuse("the number is too large");
    if (digits != nullptr) *digits = static_cast<size_t>(rest - begin);
    at_ += static_cast<size_t>(rest - begin);
    return value;
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw std::invalid_argument("\"" + printable(list_) + "\" is no " + kind_ + ": " +
                                why + " (character " + std::to_string(at_ + 1) + ")");
  }

 private:
  const std::string& list_;
  const char* kind_;
  size_t at_ = 0;
};

// What stands between brackets: "1-3,07-09", each number as wide as it is written.
std::vector<std::string> range(Reader& reader) {
  std::vector<std::string> texts;
  do {
    size_t width = 0;
    const int low = reader.number(&width);
    const int high = reader.take('-') ? reader.number() : low;
    if (high < low) reader.refuse("the range runs backwards");
    if (static_cast<size_t>(high - low) >= kMostHosts - texts.size()) {
      reader.refuse("it has more than a million hosts");
    }
    for (int i = low; i <= high; ++i) {
      const std::string digits = std::to_string(i);
      const size_t zeros = width > digits.size() ? width - digits.size() : 0;
      texts.push_back(std::string(zeros, '0') + digits);
    }
  } while (reader.take(','));
  reader.demand(']');
  return texts;
}

// One name and all that its brackets make of it; the last bracket runs fastest.
std::vector<std::string> hosts_of_name(Reader& reader) {
  std::vector<std::string> hosts = {std::string(reader.word("[,"))};
  const bool bare = hosts.front().empty();
  if (bare && reader.peek() != '[') reader.refuse("a host's name is empty");
  while (reader.take('[')) {
    const std::vector<std::string> middles = range(reader);
    const std::string tail(reader.word("[,"));
    if (hosts.size() > kMostHosts / middles.size()) {
      reader.refuse("it has more than a million hosts");
    }
    std::vector<std::string> longer;
    for (const std::string& host : hosts) {
      for (const std::string& middle : middles) longer.push_back(host + middle + tail);
    }
    hosts = std::move(longer);
  }
  return hosts;
}

}  // namespace

std::vector<std::string> hosts_of(const std::string& list) {
  Reader reader(list, "list of hosts");
  std::vector<std::string> hosts;
  do {
    const std::vector<std::string> more = hosts_of_name(reader);
    if (more.size() > kMostHosts - hosts.size()) {
      reader.refuse("it has more than a million hosts");
    }
    hosts.insert(hosts.end(), more.begin(), more.end());
  } while (reader.take(','));
  return hosts;
}

std::vector<int> tasks_of_hosts(const std::string& list) {
  Reader reader(list, "list of tasks");
  std::vector<int> tasks;
  do {
    const int count = reader.number();
    int hosts = 1;
    if (reader.take('(')) {
      reader.demand('x');
      hosts = reader.number();
      reader.demand(')');
    }
    if (static_cast<size_t>(hosts) > kMostHosts - tasks.size()) {
      reader.refuse("it has more than a million hosts");
    }
    tasks.insert(tasks.end(), static_cast<size_t>(hosts), count);
  } while (reader.take(','));
  if (!reader.at_end()) reader.refuse("it goes on after its end");
  return tasks;
}

}  // namespace lockstep::launch
