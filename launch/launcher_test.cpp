#include "launch/launcher.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

#include "launch/place.h"

namespace lockstep::launch {
namespace {

// Rank 3 of `srun -n 5` over two hosts, as Slurm 22.05 writes it.
Environment slurm() {
  return {{"SLURM_JOB_ID", "4711"},
          {"SLURM_STEP_ID", "0"},
          {"SLURM_PROCID", "3"},
          {"SLURM_LOCALID", "0"},
          {"SLURM_NODEID", "1"},
          {"SLURM_NTASKS", "5"},
          {"SLURM_STEP_NUM_TASKS", "5"},
          {"SLURM_NNODES", "2"},
          {"SLURM_STEP_TASKS_PER_NODE", "3,2"},
          {"SLURM_JOB_NODELIST", "node[07-08]"},
          {"SLURM_STEP_NODELIST", "node[07-08]"}};
}

// Rank 1 of `mpirun -np 2`, as Open MPI 4.1 writes it.
Environment mpi() {
  return {{"OMPI_COMM_WORLD_RANK", "1"},           {"OMPI_COMM_WORLD_SIZE", "2"},
          {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},     {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
          {"OMPI_COMM_WORLD_NODE_RANK", "1"},      {"PMIX_NAMESPACE", "452329473"},
          {"OMPI_MCA_ess_base_jobid", "452329473"}};
}

// Pod 1 of 2 of a PyTorchJob.
Environment pod() {
  return {{"RANK", "1"},
          {"WORLD_SIZE", "2"},
          {"MASTER_ADDR", "job-master-0"},
          {"MASTER_PORT", "23456"},
          {"PYTHONUNBUFFERED", "1"},
          {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}};
}

const Environment kTorchrun = {{"RANK", "1"},
                               {"LOCAL_RANK", "1"},
                               {"WORLD_SIZE", "2"},
                               {"GROUP_RANK", "0"},
                               {"LOCAL_WORLD_SIZE", "2"},
                               {"MASTER_ADDR", "node1"},
                               {"MASTER_PORT", "29500"},
                               {"TORCHELASTIC_RUN_ID", "none"}};

Environment with(Environment environment, const Environment& more) {
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

Environment without(Environment environment, std::initializer_list<const char*> names) {
  for (const char* name : names) environment.erase(name);
  return environment;
}

std::optional<Launched> launched(const Environment& environment,
                                 const std::string& word = "auto") {
  return launched_by(launcher_of(word, environment), environment);
}

// "rank/world local/local_world node address:port".
std::string told(const Environment& environment, const std::string& word = "auto") {
  try {
    const auto result = launched(environment, word);
    if (!result) return "nobody";
    const World& world = result->world;
    std::string text =
        std::to_string(world.rank) + "/" + std::to_string(world.world_size) + " " +
        std::to_string(world.local_rank) + "/" +
        std::to_string(world.local_world_size) + " " + std::to_string(world.node_rank) +
        " " + world.master_addr + ":" + std::to_string(world.master_port);
    return result->starts_ranks ? text + " starts them" : text;
  } catch (const std::invalid_argument& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
}

TEST(LauncherTest, Slurm) {
  EXPECT_EQ(told(slurm()), "3/5 0/2 1 node07:24711");
  // The step's own words go before the job's; the next step has another port.
  const Environment step = with(slurm(), {{"SLURM_STEP_ID", "1"},
                                          {"SLURM_NTASKS", "9"},
                                          {"SLURM_STEP_NUM_TASKS", "2"},
                                          {"SLURM_PROCID", "1"},
                                          {"SLURM_LOCALID", "1"},
                                          {"SLURM_NODEID", "0"},
                                          {"SLURM_STEP_TASKS_PER_NODE", "2"},
                                          {"SLURM_STEP_NODELIST", "node08"}});
  EXPECT_EQ(told(step), "1/2 1/2 0 127.0.0.1:28282");
  EXPECT_EQ(told(without(slurm(), {"SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS"})),
            told(slurm()));
  EXPECT_EQ(told(with(slurm(), {{"MASTER_ADDR", "ib7"}, {"MASTER_PORT", "1"}})),
            "3/5 0/2 1 ib7:1");
}

TEST(LauncherTest, WhatIsNoTaskOfSrunIsNobodys) {
  // The script of sbatch -n 5 itself, and the shells of salloc and of srun --pty.
  const Environment script =
      without(with(slurm(), {{"SLURM_PROCID", "0"}, {"SLURM_NODEID", "0"}}),
              {"SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE",
               "SLURM_STEP_NODELIST"});
  EXPECT_EQ(told(script), "nobody");
  EXPECT_EQ(told(with(script, {{"SLURM_STEP_ID", "4294967290"}})), "nobody");
  EXPECT_EQ(told(with(slurm(), {{"SLURM_STEP_NUM_TASKS", "1"}})), "nobody");
  EXPECT_EQ(told(slurm(), "none"), "nobody");
  EXPECT_EQ(told(script, "slurm"),
            "--launcher slurm but SLURM_STEP_ID is not that of a task; start the "
            "program by srun");
  EXPECT_EQ(told({}, "slurm"),
            "--launcher slurm but SLURM_PROCID is not that of a task; start the "
            "program by srun");
}

TEST(LauncherTest, Mpi) {
  const std::string here = told(mpi());
  EXPECT_EQ(here.rfind("1/2 1/2 0 127.0.0.1:2", 0), 0u) << here;
  EXPECT_EQ(told(with(mpi(), {{"OMPI_COMM_WORLD_RANK", "0"},
                              {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}}))
                .substr(10),
            here.substr(10))
      << "all ranks meet at one port";
  EXPECT_NE(told(with(mpi(), {{"PMIX_NAMESPACE", "452329474"}})), here);
  EXPECT_EQ(told(without(mpi(), {"PMIX_NAMESPACE"})), here);
  EXPECT_EQ(told(with(mpi(), {{"MASTER_ADDR", "a"}, {"MASTER_PORT", "5"}})),
            "1/2 1/2 0 a:5");
  EXPECT_EQ(told({{"PMI_RANK", "2"},
                  {"PMI_SIZE", "4"},
                  {"MPI_LOCALRANKID", "2"},
                  {"MPI_LOCALNRANKS", "4"},
                  {"MASTER_PORT", "5"}}),
            "2/4 2/4 0 127.0.0.1:5");
  EXPECT_EQ(told(with(mpi(), {{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"},
                              {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}})),
            "OMPI_COMM_WORLD_SIZE=\"2\" but OMPI_COMM_WORLD_LOCAL_SIZE=\"1\": ranks of "
            "several hosts, and MPI does not say where rank 0 is; give mpirun -x "
            "MASTER_ADDR=HOST, or the program --master-addr HOST");
  EXPECT_EQ(told({}, "mpi"),
            "--launcher mpi but neither OMPI_COMM_WORLD_SIZE nor PMI_RANK with "
            "MPI_LOCALRANKID is set; start the program by mpirun");
}

TEST(LauncherTest, AJobHasItsLaunchersName) {
  const auto job = [](const Environment& from) { return launched(from)->world.job; };
  EXPECT_EQ(job(slurm()), "SLURM_JOB_ID=4711 SLURM_STEP_ID=0");
  EXPECT_EQ(job(mpi()), "PMIX_NAMESPACE=452329473");
  EXPECT_EQ(job(kTorchrun), "TORCHELASTIC_RUN_ID=none");
  EXPECT_EQ(job(pod()), "");
}

TEST(LauncherTest, ASingleDeviceIsTheRanksOwn) {
  const auto own = [](const Environment& environment, const std::string& devices) {
    return launched(with(environment, {{"CUDA_VISIBLE_DEVICES", devices}}))
        ->world.own_device;
  };
  EXPECT_TRUE(own(slurm(), "0"));
  EXPECT_TRUE(own(mpi(), "GPU-8932f937"));
  EXPECT_FALSE(own(slurm(), "0,3"));
  EXPECT_FALSE(own(slurm(), ""));
  EXPECT_FALSE(own(kTorchrun, "0")) << "torchrun shows all ranks the same";
  EXPECT_FALSE(launched(slurm())->world.own_device);
}

// mpirun starts its own daemons by srun, and torchrun is started by either.
TEST(LauncherTest, TheInnermostCounts) {
  EXPECT_EQ(told(with(slurm(), mpi())), told(mpi()));
  const std::string torchrun = told(kTorchrun);
  EXPECT_EQ(torchrun, "1/2 1/2 0 node1:29500");
  EXPECT_EQ(told(with(slurm(), kTorchrun)), torchrun);
  EXPECT_EQ(told(with(mpi(), kTorchrun)), torchrun);
  EXPECT_EQ(
      told(with(with(slurm(), kTorchrun), {{"LOCKSTEP_STORE_FD", "-1"}}), "slurm"),
      torchrun)
      << "spawned, with its starter's command line";
  EXPECT_EQ(told(with(slurm(), without(kTorchrun, {"TORCHELASTIC_RUN_ID"})), "pytorch"),
            torchrun);
  EXPECT_EQ(told(kTorchrun, "none"), "nobody");
}

TEST(LauncherTest, ContradictionsQuoteBoth) {
  EXPECT_EQ(
      told(with(slurm(), {{"WORLD_SIZE", "4"}})),
      "WORLD_SIZE=\"4\" but SLURM_STEP_NUM_TASKS=\"5\"; unset WORLD_SIZE, or give "
      "--launcher pytorch to go by it");
  EXPECT_EQ(
      told(with(without(slurm(), {"SLURM_STEP_NUM_TASKS"}), {{"WORLD_SIZE", "4"}}))
          .rfind("WORLD_SIZE=\"4\" but SLURM_NTASKS=\"5\"", 0),
      0u);
  EXPECT_EQ(told(with(slurm(), {{"RANK", "0"}}))
                .rfind("RANK=\"0\" but SLURM_PROCID=\"3\"; unset RANK", 0),
            0u);
  EXPECT_EQ(told(with(slurm(), {{"RANK", "3"}, {"WORLD_SIZE", "5"}})), told(slurm()));
  EXPECT_EQ(told(with(mpi(), {{"LOCAL_RANK", "0"}}))
                .rfind("LOCAL_RANK=\"0\" but OMPI_COMM_WORLD_LOCAL_RANK=\"1\"", 0),
            0u);
  EXPECT_EQ(told(with(slurm(), {{"SLURM_PROCID", "5"}}))
                .rfind("SLURM_PROCID=5 is not below SLURM_STEP_NUM_TASKS=5", 0),
            0u);
  EXPECT_EQ(told(with(slurm(), {{"SLURM_NODEID", "2"}})),
            "SLURM_NODEID=\"2\" is no host of SLURM_STEP_TASKS_PER_NODE=\"3,2\"; give "
            "--launcher none or pytorch");
  EXPECT_EQ(told(without(mpi(), {"OMPI_COMM_WORLD_RANK"})),
            "OMPI_COMM_WORLD_RANK is not set; give --launcher none or pytorch");
  EXPECT_EQ(told(with(mpi(), {{"OMPI_COMM_WORLD_SIZE", "two"}})),
            "OMPI_COMM_WORLD_SIZE=\"two\" is not a whole number of at least 1; set it "
            "right, or give --launcher none or pytorch");
  EXPECT_EQ(told({}, "horovod\n"),
            "--launcher horovod?: try auto, none, pytorch, slurm or mpi");
}

TEST(LauncherTest, EachPodIsAMachine) {
  EXPECT_EQ(told(pod()), "1/2 0/1 1 job-master-0:23456");
  const Environment two_each =
      with(without(pod(), {"KUBERNETES_SERVICE_HOST"}), {{"WORLD_SIZE", "4"},
                                                         {"PET_NNODES", "2"},
                                                         {"PET_NODE_RANK", "1"},
                                                         {"PET_NPROC_PER_NODE", "2"}});
  EXPECT_EQ(told(two_each), "2/4 0/2 1 job-master-0:23456 starts them");
  EXPECT_EQ(told(with(two_each, {{"WORLD_SIZE", "2"}})), told(two_each));
  EXPECT_EQ(told(with(two_each, {{"WORLD_SIZE", "2"}, {"PET_NPROC_PER_NODE", "auto"}})),
            told(pod()));
  EXPECT_EQ(told(with(two_each, {{"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}})),
            "1/4 1/2 0 job-master-0:23456");
  EXPECT_EQ(told(with(two_each, {{"WORLD_SIZE", "3"}})),
            "WORLD_SIZE=3 but PET_NNODES=\"2\" and PET_NPROC_PER_NODE=\"2\"; unset the "
            "PET_ variables, or start the program by torchrun");
  EXPECT_EQ(
      told(with(two_each, {{"RANK", "2"}})).rfind("RANK=2 but PET_NNODES=\"2\"", 0),
      0u);
  EXPECT_EQ(told({{"PET_RDZV_ENDPOINT", "job-worker-0:29400"}})
                .rfind("PET_RDZV_ENDPOINT=\"job-worker-0:29400\" but no RANK", 0),
            0u);
}

TEST(LauncherTest, OptionsSayWhereSlurmsAndMpisRanksMeet) {
  PlaceOptions options;
  options.ranks_per_node = 7;  // not asked: the launcher knows
  options.master_addr = "10.0.0.7";
  options.master_port = 29500;
  const World world = place_of(options, with(slurm(), {{"MASTER_PORT", "1"}})).world;
  EXPECT_EQ(world.world_size, 5);
  EXPECT_EQ(world.master_addr, "10.0.0.7");
  EXPECT_EQ(world.master_port, 29500);
  EXPECT_EQ(place_of(options, kTorchrun).world.master_addr, "node1");
  options.launcher = "none";
  EXPECT_TRUE(place_of(options, slurm()).starts_ranks);
  options.launcher = "auto";
  EXPECT_EQ(place_of(options, with(mpi(), {{"OMPI_COMM_WORLD_LOCAL_SIZE", "1"},
                                           {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}}))
                .world.master_addr,
            "10.0.0.7");
}

TEST(LauncherTest, RandomValuesAreReadOrRefusedInOneLine) {
  std::mt19937 random(0);
  const std::string letters = "0123-,[](x \n\x80";
  int taken = 0;
  for (int i = 0; i < 20000; ++i) {
    Environment environment = i % 3 == 0 ? slurm() : i % 3 == 1 ? mpi() : pod();
    for (auto& entry : environment) {
      if (random() % 6 != 0) continue;
      entry.second.clear();
      for (size_t n = random() % 4; n > 0; --n) {
        entry.second += letters[random() % letters.size()];
      }
    }
    likely_world(environment);
    try {
      const auto result = launched(environment);
      if (!result) continue;
      ++taken;
      EXPECT_LT(result->world.rank, result->world.world_size);
      EXPECT_LT(result->world.local_rank, result->world.local_world_size);
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(taken, 500);
}

}  // namespace
}  // namespace lockstep::launch
