// Where the ranks of a job meet, as torch.distributed writes it: env://, where the
// launcher's MASTER_ADDR and MASTER_PORT say it, tcp://HOST:PORT, or file:///PATH, a
// file that all of them see. Text in, plain values out: nothing is opened here.
#pragma once

#include <string>

namespace lockstep::launch {

struct InitMethod {
  enum class Kind { env, tcp, file };
  Kind kind = Kind::env;
  std::string host;  // tcp; without the brackets of an IPv6 address
  int port = 0;      // tcp: 1 .. 65535
  std::string path;  // file: absolute
};

// Throws std::invalid_argument naming the text and the three forms.
InitMethod parse_init_method(const std::string& text);

}  // namespace lockstep::launch
