#include "host/this_host.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace lockstep::host {

std::string short_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  const std::string whole = name.data();
  return whole.substr(0, whole.find('.'));
}

std::string this_process() {
  return "pid " + std::to_string(gettid()) + " on " + short_name();
}

std::vector<Interface> interfaces() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(all, &freeifaddrs);
  std::vector<Interface> found;
  constexpr unsigned kUsable = IFF_UP | IFF_RUNNING;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & kUsable) != kUsable) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    found.push_back({one->ifa_name,
                     numeric(one->ifa_addr, family == AF_INET ? sizeof(sockaddr_in)
                                                              : sizeof(sockaddr_in6))});
  }
  return found;
}

std::vector<std::string> outside_addresses() {
  std::vector<std::string> found;
  for (const Interface& one : interfaces()) {
    const bool is_v4 = one.address.find(':') == std::string::npos;
    if (is_v4 && !is_loopback(one.address)) found.push_back(one.address);
  }
  return found;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

std::string numeric(const sockaddr* address, socklen_t length) {
  char text[NI_MAXHOST];
  const int error =
      getnameinfo(address, length, text, sizeof(text), nullptr, 0, NI_NUMERICHOST);
  return error == 0 ? text : "";
}

}  // namespace lockstep::host
