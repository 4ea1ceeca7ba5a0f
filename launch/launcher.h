// Who started this process as a rank of a job, and what that launcher says about it:
// torchrun (or our own spawn.h), Slurm's srun, MPI's mpirun, Kubernetes' PyTorchJob, or
// nobody. Pure functions of the environment. What is read:
//
//   pytorch  RANK, WORLD_SIZE, LOCAL_RANK and the others of environment.h. In a pod
//            (KUBERNETES_SERVICE_HOST or PET_NNODES) with neither LOCAL_RANK nor
//            LOCAL_WORLD_SIZE, as PyTorchJob leaves it, each pod is a machine, and of
//            PET_NPROC_PER_NODE ranks RANK is the pod's number.
//   slurm    SLURM_PROCID, SLURM_LOCALID, SLURM_NODEID, SLURM_STEP_NUM_TASKS (else
//            SLURM_NTASKS), SLURM_STEP_TASKS_PER_NODE (else SLURM_TASKS_PER_NODE),
//            SLURM_STEP_NODELIST (else SLURM_JOB_NODELIST), SLURM_JOB_ID,
//            SLURM_STEP_ID. Ranks meet on the step's first host, on a one-host step at
//            127.0.0.1.
//   mpi      OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE (Open MPI), or
//            PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS (MPICH's Hydra, Intel
//            MPI). On one host ranks meet at 127.0.0.1; over several MASTER_ADDR must
//            say where.
//
// CUDA_VISIBLE_DEVICES is CUDA's to honour, devices are counted among those it names;
// where srun or mpirun shows each rank a single one, that is the rank's.
//
// Under slurm and mpi the port is 20000 to 29999, below what systems hand out by
// themselves, told from SLURM_JOB_ID and SLURM_STEP_ID, or from PMIX_NAMESPACE or
// OMPI_MCA_ess_base_jobid: all ranks of a job compute the same one, and other jobs of
// the machine hardly ever do. MASTER_ADDR and MASTER_PORT go before it.
#pragma once

#include <optional>
#include <string>

#include "launch/environment.h"
#include "launch/world.h"

namespace lockstep::launch {

enum class Launcher { none, pytorch, slurm, mpi };

// `word` is --launcher's: "auto", or who it is, outright. A rank that spawn.h or
// torchrun started stays theirs under "auto", whatever Slurm or MPI started *them*.
// What is no task of srun or rank of mpirun is none: an sbatch script's own shell
// (it has SLURM_PROCID=0 and SLURM_NTASKS, but no SLURM_STEP_ID), that of salloc; and a
// step of a single task, in which `srun --pty bash` and programs that start their ranks
// themselves run. Throws std::invalid_argument for an unknown word, for a launcher that
// is not there, and for a PyTorchJob that only torchrun can start.
Launcher launcher_of(const std::string& word, const Environment& environment);

struct Launched {
  World world;
  // This process stands for its machine: world is the first of local_world_size ranks
  // that it starts.
  bool starts_ranks = false;
};

// nullopt: no launcher. Throws std::invalid_argument, one line, for values that cannot
// be, for RANK, LOCAL_RANK or WORLD_SIZE beside other values of Slurm's or MPI's, and
// where it `meets` for ranks that are not told where.
std::optional<Launched> launched_by(Launcher launcher, const Environment& environment,
                                    bool meets = true);

// Before the command line is read: whoever finds it wrong must know which rank it is.
// An environment that contradicts itself is nobody's here, launched_by() will say it.
World likely_world(const Environment& environment);

}  // namespace lockstep::launch
