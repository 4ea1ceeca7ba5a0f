#include "launch/init_method.h"

#include <charconv>
#include <stdexcept>

namespace lockstep::launch {
namespace {

[[noreturn]] void refuse(const std::string& text, const std::string& why) {
  throw std::invalid_argument("--init-method " + text + ": " + why +
                              "; give env://, tcp://HOST:PORT or file:///PATH");
}

bool takes_prefix(std::string& text, const std::string& prefix) {
  if (text.rfind(prefix, 0) != 0) return false;
  text.erase(0, prefix.size());
  return true;
}

}  // namespace

InitMethod parse_init_method(const std::string& text) {
  InitMethod method;
  std::string rest = text;
  if (takes_prefix(rest, "env://")) {
    if (!rest.empty()) refuse(text, "nothing follows env://");
    return method;
  }
  if (takes_prefix(rest, "file://")) {
    if (rest.size() < 2 || rest.front() != '/')
      refuse(text, "the path is not absolute");
    method.kind = InitMethod::Kind::file;
    method.path = rest;
    return method;
  }
  if (!takes_prefix(rest, "tcp://")) refuse(text, "not a way to meet");
  const size_t colon = rest.rfind(':');
  if (colon == std::string::npos) refuse(text, "no port");
  method.kind = InitMethod::Kind::tcp;
  method.host = rest.substr(0, colon);
  if (method.host.size() > 2 && method.host.front() == '[' &&
      method.host.back() == ']') {
    method.host = method.host.substr(1, method.host.size() - 2);
  }
  if (method.host.empty()) refuse(text, "no host");
  const char* const end = rest.data() + rest.size();
  const auto [after, error] =
      std::from_chars(rest.data() + colon + 1, end, method.port);
  if (error != std::errc() || after != end || method.port < 1 || method.port > 65535) {
    refuse(text, "the port is not 1 to 65535");
  }
  return method;
}

}  // namespace lockstep::launch
