// Which of this machine's processors an emulated host calls its own.
#pragma once

#include <string>
#include <vector>

namespace lockstep::emulation {

// Those on which this process may run.
std::vector<int> processors();

// Host `host` of `hosts` gets an equal share of them, or one that as many other hosts
// have, too; as taskset lists them ("0,1"). Empty where the shares would not be equal.
std::string share_of(int host, int hosts, const std::vector<int>& processors);

}  // namespace lockstep::emulation
