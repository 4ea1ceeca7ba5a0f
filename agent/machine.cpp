#include <glob.h>
#include <sched.h>

#include <algorithm>

#include "agent/command_line.h"
#include "host/this_host.h"
#include "launch/environment.h"

namespace lockstep::agent {
namespace {

int cpus_of_this_process() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return 1;
  return std::max(1, CPU_COUNT(&cpus));
}

// Without CUDA, whose start costs more than this program's whole life.
int gpus_of(const launch::Environment& environment) {
  if (const auto visible = launch::value_of(environment, "CUDA_VISIBLE_DEVICES")) {
    // CUDA takes those before the first that is none.
    if (visible->empty() || visible->front() == '-') return 0;
    return 1 + static_cast<int>(std::count(visible->begin(), visible->end(), ','));
  }
  glob_t found{};
  const bool any = glob("/dev/nvidia[0-9]*", 0, nullptr, &found) == 0;
  const int gpus = any ? static_cast<int>(found.gl_pathc) : 0;
  globfree(&found);
  return gpus;
}

}  // namespace

Machine this_machine() {
  const launch::Environment environment = launch::current_environment();
  Machine machine;
  machine.cpus = cpus_of_this_process();
  machine.gpus = gpus_of(environment);
  machine.addresses = host::outside_addresses();
  // A step's task; the script that sbatch starts has a SLURM_NODEID, too.
  if (launch::whole(environment, "SLURM_STEP_ID")) {
    const auto node = launch::whole(environment, "SLURM_NODEID");
    if (node) machine.node_rank = static_cast<int>(*node);
  }
  return machine;
}

}  // namespace lockstep::agent
