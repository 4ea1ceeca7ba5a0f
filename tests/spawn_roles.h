// What the ranks of spawn_test do, each started with --rank ROLE. They report through
// the pipe that PIPE names. For that test alone.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "launch/environment.h"
#include "launch/fd.h"
#include "launch/process.h"

namespace lockstep::launch {

inline void tell(const std::string& text) {
  Fd pipe(open(std::getenv("PIPE"), O_WRONLY));
  std::string line = text + "\n";
  if (write(pipe.get(), line.data(), line.size()) < 0) _exit(98);
}

inline void hear() {
  Fd pipe(open(std::getenv("PIPE"), O_RDONLY));
  char c = 0;
  if (read(pipe.get(), &c, 1) != 1) _exit(98);
}

inline int listening_sockets() {
  int count = 0;
  for (int fd = 0; fd < 256; ++fd) {
    int listens = 0;
    socklen_t length = sizeof(listens);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length);
    count += listens;
  }
  return count;
}

inline int meet(const World& world) {
  std::string name = std::to_string(world.rank);
  if (world.rank == 0) {
    int met = 0;
    while (met < 2 && Fd(accept(world.store_fd, nullptr, nullptr)).get() >= 0) ++met;
    tell(name + " listens, met " + std::to_string(met));
    return listening_sockets() == 1 ? 0 : 1;
  }
  Fd client(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<in_port_t>(world.master_port));
  inet_pton(AF_INET, world.master_addr.c_str(), &address.sin_addr);
  auto* at = reinterpret_cast<sockaddr*>(&address);
  if (connect(client.get(), at, sizeof(address)) != 0) return 1;
  bool none = world.store_fd == -1 && listening_sockets() == 0;
  tell(name + (none ? " has none" : " has the socket too"));
  return 0;
}

inline int rank_main(const std::string& role) {
  sigset_t stop;
  sigemptyset(&stop);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&stop, signal);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  die_with_parent();
  World world = world_from(current_environment()).value();
  if (role == "meet") return meet(world);
  if (role == "hang") {
    tell(std::to_string(getpid()));
    while (true) pause();
  }
  if (role == "exit-7-when-stopped" && world.rank == 2) {
    hear();
    hear();
    return 4;
  }
  tell(role == "tell-signal" ? "ready" : "");
  int signal = 0;
  sigwait(&stop, &signal);
  if (role != "tell-signal") return 7;
  tell(signal_name(signal));
  return 0;
}

}  // namespace lockstep::launch
