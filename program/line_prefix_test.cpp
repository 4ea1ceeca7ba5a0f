#include "program/line_prefix.h"

#include <gtest/gtest.h>

namespace lockstep::program {
namespace {

using launch::Environment;

World rank_3_of_4(int on_its_machine) {
  World world;
  world.rank = 3;
  world.world_size = 4;
  world.local_world_size = on_its_machine;
  return world;
}

const Environment kSrun = {
    {"SLURM_PROCID", "3"}, {"SLURM_STEP_ID", "0"}, {"SLURM_NTASKS", "4"}};
const Environment kMpirun = {{"OMPI_COMM_WORLD_RANK", "3"},
                             {"OMPI_COMM_WORLD_SIZE", "4"}};

Environment with(Environment environment, const Environment& more) {
  for (const auto& [name, value] : more) environment[name] = value;
  return environment;
}

TEST(LinePrefix, NamesRankAndHostWhereSeveralMachinesSpeak) {
  EXPECT_EQ(line_prefix(rank_3_of_4(2), {}, "nodeb"), "[rank 3 nodeb] ");
  EXPECT_EQ(line_prefix(rank_3_of_4(4), kSrun, "nodeb"), "[rank 3 nodeb] ");
  EXPECT_EQ(line_prefix(rank_3_of_4(4), kMpirun, "nodeb"), "[rank 3 nodeb] ");
}

TEST(LinePrefix, IsNotThereForRanksOfOneMachine) {
  EXPECT_EQ(line_prefix(World(), {}, "nodeb"), "");
  EXPECT_EQ(line_prefix(rank_3_of_4(4), {}, "nodeb"), "");
  // Which a task of srun's may have started.
  EXPECT_EQ(line_prefix(rank_3_of_4(4),
                        with(kSrun, {{"RANK", "3"}, {"LOCKSTEP_STORE_FD", "-1"}}), "n"),
            "");
  // Who they are cannot be told: the error says so.
  EXPECT_EQ(line_prefix(World(), {{"PET_RDZV_ENDPOINT", "x"}}, "nodeb"), "");
}

TEST(LinePrefix, IsNeverASecondOne) {
  for (const char* name :
       {"LOCKSTEP_LINES_PREFIXED", "SLURM_LABELIO", "OMPI_MCA_orte_tag_output"}) {
    EXPECT_EQ(line_prefix(rank_3_of_4(2), with(kSrun, {{name, "1"}}), "nodeb"), "");
    EXPECT_NE(line_prefix(rank_3_of_4(2), with(kSrun, {{name, "0"}}), "nodeb"), "");
    EXPECT_NE(line_prefix(rank_3_of_4(2), with(kSrun, {{name, ""}}), "nodeb"), "");
  }
}

}  // namespace
}  // namespace lockstep::program
