#include "launch/launcher.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>

#include "launch/host_list.h"

namespace lockstep::launch {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw std::invalid_argument(message);
}

constexpr char kWayOut[] = "give --launcher none or pytorch";

bool has(const Environment& environment, const char* name) {
  return environment.count(name) > 0;
}

// The first of them that is set, else the last.
const char* first_of(const Environment& environment,
                     std::initializer_list<const char*> names) {
  const char* last = "";
  for (const char* name : names) {
    if (has(environment, name)) return name;
    last = name;
  }
  return last;
}

RankNames slurm_names(const Environment& environment) {
  return {"SLURM_PROCID",
          first_of(environment, {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"}),
          "SLURM_LOCALID",
          first_of(environment, {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}),
          "SLURM_NODEID",
          kWayOut};
}

// OMPI_COMM_WORLD_NODE_RANK is no node's number but this process's on its node.
RankNames mpi_names(const Environment& environment) {
  if (has(environment, "OMPI_COMM_WORLD_RANK") ||
      has(environment, "OMPI_COMM_WORLD_SIZE")) {
    return {"OMPI_COMM_WORLD_RANK",
            "OMPI_COMM_WORLD_SIZE",
            "OMPI_COMM_WORLD_LOCAL_RANK",
            "OMPI_COMM_WORLD_LOCAL_SIZE",
            nullptr,
            kWayOut};
  }
  return {"PMI_RANK",        "PMI_SIZE", "MPI_LOCALRANKID",
          "MPI_LOCALNRANKS", nullptr,    kWayOut};
}

// Slurm numbers the steps of srun from 0 and keeps the highest 32-bit numbers for a
// job's script and its interactive shell.
bool is_task(const Environment& environment) {
  constexpr int64_t kFirstReserved = 0xfffffff0;
  const auto step = whole(environment, "SLURM_STEP_ID");
  return step && *step < kFirstReserved && has(environment, "SLURM_PROCID");
}

bool is_mpi(const Environment& environment) {
  // srun sets PMI_RANK as well, but not Hydra's names.
  return has(environment, "OMPI_COMM_WORLD_SIZE") ||
         (has(environment, "PMI_RANK") && has(environment, "MPI_LOCALRANKID"));
}

bool by_an_agent(const Environment& environment) {
  return has(environment, "RANK") && (has(environment, "LOCKSTEP_STORE_FD") ||
                                      has(environment, "TORCHELASTIC_RUN_ID"));
}

// FNV-1a.
uint32_t hash_of(const std::string& text) {
  uint32_t hash = 2166136261u;
  for (const unsigned char c : text) hash = (hash ^ c) * 16777619u;
  return hash;
}

std::string port_of(uint64_t number) { return std::to_string(20000 + number % 10000); }

// Jobs of a machine follow each other closely in number, and their steps: neighbours
// get ports of their own.
std::string slurm_port(const Environment& environment) {
  const auto job = whole(environment, "SLURM_JOB_ID");
  if (!job || *job < 0) {
    refuse(quoted("SLURM_JOB_ID", text_at(environment, "SLURM_JOB_ID")) +
           " is no job's number; set MASTER_PORT to a free port");
  }
  const auto step = static_cast<uint64_t>(*whole(environment, "SLURM_STEP_ID"));
  return port_of(static_cast<uint64_t>(*job) + 3571 * (step % 10000));
}

// The master of ranks on one host, where nobody names another.
void fill(Environment& environment, const char* name, const std::string& value) {
  const auto [entry, added] = environment.emplace(name, value);
  if (!added && entry->second.empty()) entry->second = value;
}

// A script's RANK or WORLD_SIZE beside the launcher's own.
void check_agree(const Environment& environment, const char* general,
                 const char* launchers) {
  const auto said = value_of(environment, general);
  const auto is = value_of(environment, launchers);
  if (!said || !is || *said == *is) return;
  refuse(quoted(general, *said) + " but " + quoted(launchers, *is) + "; unset " +
         general + ", or give --launcher pytorch to go by it");
}

void check_agree(const Environment& environment, const RankNames& names) {
  for (const char* name : {names.rank, names.world_size, names.local_world_size}) {
    if (!has(environment, name)) refuse(std::string(name) + " is not set; " + kWayOut);
  }
  check_agree(environment, "WORLD_SIZE", names.world_size);
  check_agree(environment, "RANK", names.rank);
  check_agree(environment, "LOCAL_RANK", names.local_rank);
}

// A wrapper's or Slurm's own binding, `srun --gpus-per-task=1`. Several may be all of
// the machine's.
bool shows_one_device(const Environment& environment) {
  const std::string devices = text_at(environment, "CUDA_VISIBLE_DEVICES");
  return !devices.empty() && devices.find(',') == std::string::npos;
}

World slurm_world(Environment environment, bool meets) {
  const RankNames names = slurm_names(environment);
  check_agree(environment, names);
  // This host's own number, in the place of all hosts'.
  const std::string list = text_at(environment, names.local_world_size);
  const std::vector<int> tasks = tasks_of_hosts(list);
  const auto node = whole(environment, "SLURM_NODEID");
  if (!node || *node < 0 || static_cast<size_t>(*node) >= tasks.size()) {
    refuse(quoted("SLURM_NODEID", text_at(environment, "SLURM_NODEID")) +
           " is no host of " + quoted(names.local_world_size, list) + "; " + kWayOut);
  }
  environment[names.local_world_size] =
      std::to_string(tasks[static_cast<size_t>(*node)]);
  if (meets) {
    if (text_at(environment, "MASTER_ADDR").empty()) {
      const char* name = first_of(
          environment, {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"});
      const std::vector<std::string> hosts = hosts_of(text_at(environment, name));
      fill(environment, "MASTER_ADDR", hosts.size() == 1 ? "127.0.0.1" : hosts.front());
    }
    if (text_at(environment, "MASTER_PORT").empty()) {
      fill(environment, "MASTER_PORT", slurm_port(environment));
    }
  }
  return ranks_from(environment, names, meets);
}

World mpi_world(Environment environment, bool meets) {
  const RankNames names = mpi_names(environment);
  check_agree(environment, names);
  const World world = ranks_from(environment, names, /*meets=*/false);
  if (!meets || world.world_size == 1) return world;
  if (text_at(environment, "MASTER_ADDR").empty() &&
      world.local_world_size < world.world_size) {
    refuse(
        quoted(names.world_size, text_at(environment, names.world_size)) + " but " +
        quoted(names.local_world_size, text_at(environment, names.local_world_size)) +
        ": ranks of several hosts, and MPI does not say where rank 0 is; give "
        "mpirun -x MASTER_ADDR=HOST, or the program --master-addr HOST");
  }
  fill(environment, "MASTER_ADDR", "127.0.0.1");
  const char* job =
      first_of(environment, {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"});
  if (has(environment, job)) {
    fill(environment, "MASTER_PORT", port_of(hash_of(text_at(environment, job))));
  }
  return ranks_from(environment, names, meets);
}

Launched pytorch_world(Environment environment, bool meets) {
  const bool in_pod =
      has(environment, "KUBERNETES_SERVICE_HOST") || has(environment, "PET_NNODES");
  const bool told = by_an_agent(environment) || has(environment, "LOCAL_RANK") ||
                    has(environment, "LOCAL_WORLD_SIZE");
  const std::optional<World> plain = world_from(environment, meets);
  if (!plain)
    refuse(
        "--launcher pytorch but neither RANK nor WORLD_SIZE is set; "
        "start the program by torchrun");
  if (!in_pod || told) return {*plain};

  const int64_t ranks = whole(environment, "PET_NPROC_PER_NODE").value_or(1);
  const int64_t pods = whole(environment, "PET_NNODES")
                           .value_or(plain->world_size / std::max<int64_t>(ranks, 1));
  // Older operators count pods in WORLD_SIZE, newer ones ranks.
  if (ranks < 1 || pods < 1 || ranks > 100000 || pods > 100000 ||
      (plain->world_size != pods && plain->world_size != pods * ranks)) {
    refuse("WORLD_SIZE=" + std::to_string(plain->world_size) + " but " +
           quoted("PET_NNODES", text_at(environment, "PET_NNODES")) + " and " +
           quoted("PET_NPROC_PER_NODE", text_at(environment, "PET_NPROC_PER_NODE")) +
           "; unset the PET_ variables, or start the program by torchrun");
  }
  if (plain->rank >= pods) {
    refuse("RANK=" + std::to_string(plain->rank) + " but " +
           quoted("PET_NNODES", text_at(environment, "PET_NNODES")) +
           ": in a pod RANK is the pod's number; set LOCAL_RANK if it is not");
  }
  Launched launched{*plain, ranks > 1};
  World& world = launched.world;
  world.node_rank = plain->rank;
  world.rank = static_cast<int>(plain->rank * ranks);
  world.world_size = static_cast<int>(pods * ranks);
  world.local_rank = 0;
  world.local_world_size = static_cast<int>(ranks);
  return launched;
}

}  // namespace

Launcher launcher_of(const std::string& word, const Environment& environment) {
  // The ranks of spawn.h have their starter's command line, with its --launcher.
  if (has(environment, "RANK") && has(environment, "LOCKSTEP_STORE_FD")) {
    return Launcher::pytorch;
  }
  if (word == "none") return Launcher::none;
  if (word == "pytorch") return Launcher::pytorch;
  if (word == "slurm") {
    if (is_task(environment)) return Launcher::slurm;
    refuse(std::string("--launcher slurm but ") +
           (has(environment, "SLURM_PROCID") ? "SLURM_STEP_ID" : "SLURM_PROCID") +
           " is not that of a task; start the program by srun");
  }
  if (word == "mpi") {
    if (is_mpi(environment)) return Launcher::mpi;
    refuse(
        "--launcher mpi but neither OMPI_COMM_WORLD_SIZE nor PMI_RANK with "
        "MPI_LOCALRANKID is set; start the program by mpirun");
  }
  if (word != "auto") {
    refuse("--launcher " + printable(word) + ": try auto, none, pytorch, slurm or mpi");
  }

  if (by_an_agent(environment)) return Launcher::pytorch;
  // "1" and not 1: what is no number shall be told as such.
  if (is_mpi(environment) &&
      text_at(environment, mpi_names(environment).world_size) != "1") {
    return Launcher::mpi;
  }
  if (is_task(environment) &&
      text_at(environment, slurm_names(environment).world_size) != "1") {
    return Launcher::slurm;
  }
  if (has(environment, "RANK") || has(environment, "WORLD_SIZE")) {
    return Launcher::pytorch;
  }
  if (has(environment, "PET_RDZV_ENDPOINT")) {
    refuse(quoted("PET_RDZV_ENDPOINT", text_at(environment, "PET_RDZV_ENDPOINT")) +
           " but no RANK: an elastic job is for torchrun to start, torchrun "
           "--no-python PROGRAM; or give --launcher none");
  }
  return Launcher::none;
}

std::optional<Launched> launched_by(Launcher launcher, const Environment& environment,
                                    bool meets) {
  switch (launcher) {
    case Launcher::none:
      return std::nullopt;
    case Launcher::pytorch:
      return pytorch_world(environment, meets);
    case Launcher::slurm:
    case Launcher::mpi: {
      Launched launched{launcher == Launcher::slurm ? slurm_world(environment, meets)
                                                    : mpi_world(environment, meets)};
      launched.world.own_device = shows_one_device(environment);
      launched.world.job = launcher == Launcher::slurm
                               ? job_of(environment, {"SLURM_JOB_ID", "SLURM_STEP_ID"})
                               : job_of(environment, {"PMIX_NAMESPACE"});
      return launched;
    }
  }
  return std::nullopt;
}

World likely_world(const Environment& environment) {
  try {
    const auto launched =
        launched_by(launcher_of("auto", environment), environment, /*meets=*/false);
    return launched ? launched->world : World{};
  } catch (const std::invalid_argument&) {
    return {};
  }
}

}  // namespace lockstep::launch
