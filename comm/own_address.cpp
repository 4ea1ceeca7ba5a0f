#include "comm/own_address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <vector>

#include "host/this_host.h"

namespace lockstep::comm {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses resolve(const Meeting& meeting) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(meeting.host.c_str(),
                                std::to_string(meeting.port).c_str(), &hints, &found);
  if (error != 0) {
    throw std::runtime_error("the master address " + meeting.host + ": " +
                             gai_strerror(error) + "; give one that resolves here");
  }
  return {found, &freeaddrinfo};
}

bool is_any(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr == INADDR_ANY;
  }
  return IN6_IS_ADDR_UNSPECIFIED(
      &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

// Connecting a datagram socket sends nothing: the kernel picks the route, and with it
// the address that this machine goes by there.
std::string address_towards(const addrinfo& master) {
  const int fd = socket(master.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage own{};
  socklen_t length = sizeof(own);
  const bool found = fd >= 0 && connect(fd, master.ai_addr, master.ai_addrlen) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) == 0;
  const std::string reason = std::strerror(errno);
  if (fd >= 0) close(fd);
  if (!found) {
    throw std::runtime_error("no way to the master address " +
                             host::numeric(master.ai_addr, master.ai_addrlen) + ": " +
                             reason + "; give one that this machine reaches");
  }
  return host::numeric(reinterpret_cast<sockaddr*>(&own), length);
}

// Every rank's word, in the order of ranks.
std::vector<std::string> exchange(const Meeting& meeting, c10d::Store& store,
                                  const std::string& key, const std::string& word) {
  const auto bytes = [](const std::string& text) {
    return std::vector<uint8_t>(text.begin(), text.end());
  };
  store.set(key + std::to_string(meeting.rank), bytes(word));
  std::vector<std::string> words;
  for (int rank = 0; rank < meeting.world_size; ++rank) {
    const auto value = store.get(key + std::to_string(rank));
    words.emplace_back(value.begin(), value.end());
  }
  return words;
}

// Two ranks of one name share their loopback: machines differ in what they drew when
// they were started, containers and network namespaces of one machine in the latter.
std::string name_of_this_machine() {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  std::error_code ignored;
  return boot + " " +
         std::filesystem::read_symlink("/proc/self/ns/net", ignored).string();
}

std::string first_address() {
  const std::vector<std::string> found = host::outside_addresses();
  if (!found.empty()) return found.front();
  throw std::runtime_error(
      "ranks are on several machines and this one has no address but loopback; name "
      "its interface in GLOO_SOCKET_IFNAME");
}

}  // namespace

std::string own_address(const Meeting& meeting, c10d::Store& store) {
  if (meeting.world_size == 1) return "127.0.0.1";
  if (!meeting.file.empty()) {
    const auto names = exchange(meeting, store, "machine/", name_of_this_machine());
    const bool one_machine = std::equal(names.begin() + 1, names.end(), names.begin());
    return one_machine ? "127.0.0.1" : first_address();
  }

  const Addresses master = resolve(meeting);
  const bool told_any = is_any(master->ai_addr);
  // The master's address as this rank knows it, for those on its machine that do not.
  const std::string seen =
      told_any ? "" : host::numeric(master->ai_addr, master->ai_addrlen);
  const auto all_seen = exchange(meeting, store, "master/", seen);
  const auto outside =
      std::find_if(all_seen.begin(), all_seen.end(), [](const std::string& address) {
        return !address.empty() && !host::is_loopback(address);
      });
  if (told_any) return outside != all_seen.end() ? *outside : "127.0.0.1";
  if (host::is_loopback(seen) && outside != all_seen.end()) {
    throw std::runtime_error(meeting.kind + " " + std::to_string(meeting.rank) +
                             " meets at " + seen + ", which others know as " +
                             *outside + "; give it that address, too");
  }
  return address_towards(*master);
}

std::string interface_of(const std::string& address) {
  for (const host::Interface& one : host::interfaces()) {
    if (one.address == address ||
        (host::is_loopback(address) && host::is_loopback(one.address))) {
      return one.name;
    }
  }
  return "";
}

}  // namespace lockstep::comm
