// The knobs of Horovod's way: which cases they multiply, and where they are refused.
#include <gtest/gtest.h>

#include <cmath>

#include "cases/sweep_names.h"
#include "negotiation/settings.h"

namespace lockstep::cases {
namespace {

TEST(HorovodKnobs, AreItsOwnAndTheBackend) {
  Sweep sweep;
  sweep.models = {"mlp"};
  sweep.modes = {"ddp", "horovod"};
  sweep.gpus = {2};
  sweep.fusion_thresholds_mb = {0, 64, 0};
  sweep.cycle_times_ms = {2.5};
  sweep.fp16_allreduce = {"no", "yes"};
  EXPECT_EQ(names_of(sweep), (Names{"single/mlp/cards:1", "ddp/mlp/cards:2",
                                    "horovod/mlp/cards:2/fusion:0/fp16:no",
                                    "horovod/mlp/cards:2/fusion:0/fp16:yes",
                                    "horovod/mlp/cards:2/fusion:64/fp16:no",
                                    "horovod/mlp/cards:2/fusion:64/fp16:yes"}));
  for (const Case& one : cases_of(sweep, 2)) {
    EXPECT_EQ(one.lossy(), one.name().ends_with("fp16:yes")) << one.name();
  }
  sweep.modes = {"horovod"};
  sweep.fusion_thresholds_mb = {64};
  sweep.fp16_allreduce = {"no"};
  sweep.cycle_times_ms = {1, 5};
  sweep.backends = {"gloo", "shm"};
  sweep.peers = {"bound"};
  EXPECT_EQ(names_of(sweep),
            (Names{"single/mlp/cards:1", "horovod/mlp/cards:2/cycle:1/backend:gloo",
                   "horovod/mlp/cards:2/cycle:1/backend:shm",
                   "horovod/mlp/cards:2/cycle:5/backend:gloo",
                   "horovod/mlp/cards:2/cycle:5/backend:shm", "bound/mlp/cards:2"}));
  const negotiation::Settings horovods;
  EXPECT_EQ(HorovodWay().fusion_threshold_mb * 1024 * 1024, horovods.fusion_threshold);
  EXPECT_EQ(HorovodWay().cycle_time_ms, horovods.cycle_time.count());
}

TEST(HorovodKnobs, ThatCannotBeOrDoNothingAreRefused) {
  Sweep sweep;
  sweep.gpus = {2};
  sweep.modes = {"dp", "ddp"};
  sweep.cycle_times_ms = {5};
  EXPECT_EQ(
      refusal(sweep),
      "--fusion-threshold-mb, --cycle-time-ms and --fp16-allreduce are Horovod's; "
      "try --mode horovod");
  sweep.modes = {"horovod"};
  EXPECT_EQ(refusal(sweep), "");
  sweep.reducers = {"flat"};
  EXPECT_EQ(refusal(sweep),
            "--reducer, --bucket-cap-mb, --comm-hook and --overlap are DDP's; try "
            "--mode ddp");
  sweep.reducers = {"bucketed"};
  sweep.cycle_times_ms = {1, std::nan("")};
  EXPECT_EQ(refusal(sweep), "--cycle-time-ms nan: must be a number from 0 to 1e+06");
  sweep.cycle_times_ms = {1};
  sweep.fusion_thresholds_mb = {-1};
  EXPECT_EQ(refusal(sweep),
            "--fusion-threshold-mb -1: must be a number from 0 to 950000");
  sweep.fusion_thresholds_mb = {1};
  sweep.fp16_allreduce = {"maybe"};
  EXPECT_NE(refusal(sweep).find("maybe"), std::string::npos) << refusal(sweep);
}

}  // namespace
}  // namespace lockstep::cases
