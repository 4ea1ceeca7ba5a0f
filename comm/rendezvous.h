// Where ranks meet: rank 0 hosts a key-value store, the others come to it; or all of
// them write into one file. The store listens on the master address alone (loopback by
// default): LibTorch's own would listen everywhere, and it has no authentication.
#pragma once

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace lockstep::comm {

struct Meeting {
  std::string kind = "rank";  // who meets; each kind has keys of its own
  int rank = 0;
  int world_size = 1;
  std::string host = "127.0.0.1";
  int port = 0;
  int listen_fd = -1;      // rank 0: a listening socket to host the store on
  bool host_store = true;  // false: somebody else hosts it, rank 0 is a client too
  std::string file;        // the store is this file, and host and port are not used
  // The store of host and port, open already, for several meetings over it.
  c10::intrusive_ptr<c10d::Store> store{};
  int attempt = 0;  // keys of an earlier attempt of the job are not seen
  std::chrono::milliseconds timeout = std::chrono::minutes(5);
  // Who came and says nothing for so long, while others are waited for, has died.
  std::chrono::milliseconds silence = std::chrono::seconds(4);
  // The job's name, where its launcher gave it one: ranks of another job that come to
  // the same place are refused. Empty: none.
  std::string job;
  // What all must have been started with, as "--backend gloo": collectives of two kinds
  // would wait for each other. Empty: nothing.
  std::string terms;
};

// Returns when all ranks have come. Rank 0 needs listen_fd, and owns it from then on. A
// file must not be there yet when the first rank comes: one that a killed job left
// holds that job's keys. It goes with the last rank's store.
// Throws std::runtime_error naming host and port when nobody answers in time, what is
// wrong with who came (roll_call.h), or the file that cannot be written.
c10::intrusive_ptr<c10d::Store> meet(const Meeting& meeting);

// The store at host and port alone: nobody is waited for. Rank 0 hosts it there, unless
// somebody else does. Throws as above.
c10::intrusive_ptr<c10d::Store> open_store(const Meeting& meeting);

}  // namespace lockstep::comm
