// A socket that is bound and listening before any rank exists, so that the port a
// launcher tells its ranks cannot be taken by another process in between. Rank 0
// inherits it and hosts the store on it. Not a server: nothing is accepted here.
#pragma once

#include <string>

#include "launch/fd.h"

namespace lockstep::launch {

class Listener {
 public:
  // port 0: the system picks a free one. Throws std::runtime_error, one line naming
  // address and port, where it cannot listen there. The socket is close-on-exec.
  explicit Listener(const std::string& host = "127.0.0.1", int port = 0);

  int port() const { return port_; }
  int fd() const { return fd_.get(); }
  // The caller closes the socket from now on.
  int release() { return fd_.release(); }

 private:
  Fd fd_;
  int port_ = 0;
};

}  // namespace lockstep::launch
