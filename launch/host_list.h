// Slurm's two shortened lists: hosts ("node[1-3,07-09],other", as SLURM_JOB_NODELIST
// has them) and tasks of each host ("2(x3),1", as SLURM_STEP_TASKS_PER_NODE has them).
// Plain functions over foreign text. Source: the man pages of srun and scontrol.
//
// Not here: nested brackets, which Slurm writes for no host list.
#pragma once

#include <string>
#include <vector>

namespace lockstep::launch {

// All hosts, in the list's order: "a[09-11]" is a09, a10, a11. A name may have several
// brackets. Throws std::invalid_argument, one line quoting the list, where it is no
// host list or has more than a million hosts.
std::vector<std::string> hosts_of(const std::string& list);

// How many tasks each host has. Throws as above.
std::vector<int> tasks_of_hosts(const std::string& list);

}  // namespace lockstep::launch
