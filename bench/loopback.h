// How quickly this machine talks to itself over TCP: the most that gloo's ranks on one
// host can hope for.
#pragma once

namespace lockstep::bench {

struct Loopback {
  double bytes_per_s = 0;   // one connection, one way
  double round_trip_s = 0;  // of one byte
};

// Takes about a quarter of a second, over a port on 127.0.0.1. Throws
// std::runtime_error.
Loopback measure_loopback();

}  // namespace lockstep::bench
