// The address of this machine at which a rank listens for its peers: of all the
// machine's addresses the one by which the other ranks reach it, and loopback where all
// ranks are on one machine.
#pragma once

#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "comm/rendezvous.h"

namespace lockstep::comm {

// Every rank of the job calls it once, on the store that they met at. The address from
// which this machine talks to the master's; where this rank was told to meet at 0.0.0.0
// (it is on the master's machine), the one by which the others found it. Over a file:
// loopback for one machine, else the first address of this one that is not loopback.
// Throws std::runtime_error where there is none, or where this rank goes to loopback
// and another one to the same master from outside.
std::string own_address(const Meeting& meeting, c10d::Store& store);

// The name of the interface that has it, "eth0"; empty: none has.
std::string interface_of(const std::string& address);

}  // namespace lockstep::comm
