#include "launch/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace lockstep::launch {
namespace {

constexpr char kAnotherPort[] = "give another --master-port";
constexpr char kOwnAddress[] = "give an address of this machine as --master-addr";

[[noreturn]] void refuse(const std::string& host, int port, const std::string& why,
                         const std::string& way_out) {
  throw std::runtime_error("cannot listen on " + host + ":" + std::to_string(port) +
                           ": " + why + "; " + way_out);
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) refuse(host, port, gai_strerror(error), kOwnAddress);
  return Addresses(found, &freeaddrinfo);
}

int port_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  in_port_t port = address.ss_family == AF_INET6
                       ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                       : reinterpret_cast<sockaddr_in*>(&address)->sin_port;
  return ntohs(port);
}

}  // namespace

Listener::Listener(const std::string& host, int port) {
  if (port < 0 || port > 65535) refuse(host, port, "ports end at 65535", kAnotherPort);
  Addresses addresses = resolve(host, port);
  fd_ = Fd(socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd_.get() < 0) refuse(host, port, std::strerror(errno), kOwnAddress);
  // A port whose last job ended a moment ago is free; one that is listened on stays
  // busy.
  int on = 1;
  setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd_.get(), addresses->ai_addr, addresses->ai_addrlen) != 0 ||
      listen(fd_.get(), SOMAXCONN) != 0) {
    const bool strange = errno == EADDRNOTAVAIL;
    refuse(host, port, std::strerror(errno), strange ? kOwnAddress : kAnotherPort);
  }
  port_ = port_of(fd_.get());
}

}  // namespace lockstep::launch
