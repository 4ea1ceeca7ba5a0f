// This machine as others know it: its name, its addresses, and this process on it. For
// messages, and for finding what the others reach it by.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

namespace lockstep::host {

// "nodeb": without its domain.
std::string short_name();

// "pid 4711 on nodeb". A thread has its own: threads that are ranks, in tests, are
// processes to each other.
std::string this_process();

struct Interface {
  std::string name;     // "eth0"
  std::string address;  // as a number
};
// Those that are up and lead somewhere, loopback among them.
std::vector<Interface> interfaces();

// By which others reach this machine: IPv4, not loopback.
std::vector<std::string> outside_addresses();

// A host that every machine has for itself: "localhost", "127.0.1.1", "::1".
bool is_loopback(const std::string& host);

// An address as a number; empty where it is none.
std::string numeric(const sockaddr* address, socklen_t length);

}  // namespace lockstep::host
