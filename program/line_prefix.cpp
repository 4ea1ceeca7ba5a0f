#include "program/line_prefix.h"

#include <stdexcept>

#include "launch/launcher.h"

namespace lockstep::program {
namespace {

bool prefixed_by_launcher(const launch::Environment& environment) {
  for (const char* name :
       {"LOCKSTEP_LINES_PREFIXED", "SLURM_LABELIO", "OMPI_MCA_orte_tag_output"}) {
    const std::string value = launch::text_at(environment, name);
    if (!value.empty() && value != "0") return true;
  }
  return false;
}

bool by_srun_or_mpirun(const launch::Environment& environment) {
  try {
    const launch::Launcher launcher = launch::launcher_of("auto", environment);
    return launcher == launch::Launcher::slurm || launcher == launch::Launcher::mpi;
  } catch (const std::invalid_argument&) {
    return false;  // nobody's; whoever reads the command line says so
  }
}

}  // namespace

std::string line_prefix(const World& world, const launch::Environment& environment,
                        const std::string& host) {
  const bool alone =
      world.world_size == world.local_world_size && !by_srun_or_mpirun(environment);
  if (alone || prefixed_by_launcher(environment)) return "";
  return "[rank " + std::to_string(world.rank) + " " + host + "] ";
}

}  // namespace lockstep::program
