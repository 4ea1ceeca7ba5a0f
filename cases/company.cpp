// What a sweep asks for beside its cases, and knobs that none of them has.
#include <algorithm>
#include <stdexcept>

#include "cases/sweep.h"

namespace lockstep::cases {

void check_company(const Sweep& sweep, const std::vector<Case>& cases) {
  const auto has_any = [&](const auto& wanted) {
    return std::any_of(cases.begin(), cases.end(),
                       [&](const Case& one) { return wanted(one) && one.cards > 1; });
  };
  const auto has = [&](const std::string& mode) {
    return has_any([&](const Case& one) { return one.mode == mode; });
  };
  const std::vector<DpWay> ways = dp_ways(sweep);
  const bool usual = ways.size() == 1 && ways.front().mode() == DpWay().mode();
  if (!usual && !has_any([](const Case& one) { return one.loop() == "dp"; })) {
    throw std::invalid_argument(
        "--dp-reduce, --replicate, --dp-loss and --primary-share are DataParallel's on "
        "several cards; try --mode dp --gpus 2");
  }
  const auto ddp = [](const Case& one) { return one.loop() == "ddp"; };
  const auto all_as = [](const auto& values, const auto& usual) {
    return std::all_of(values.begin(), values.end(),
                       [&](const auto& value) { return value == usual; });
  };
  const auto horovod = [](const Case& one) { return one.loop() == "horovod"; };
  const auto has_ranks = [](const Case& one) { return one.has_ranks(); };
  const DdpWay plain;
  if (!(all_as(sweep.reducers, plain.reducer) &&
        all_as(sweep.bucket_caps_mb, plain.bucket_cap_mb) &&
        all_as(sweep.comm_hooks, plain.comm_hook) && all_as(sweep.overlap, "yes")) &&
      std::none_of(cases.begin(), cases.end(), ddp)) {
    throw std::invalid_argument(
        "--reducer, --bucket-cap-mb, --comm-hook and --overlap are DDP's; try --mode "
        "ddp");
  }
  const HorovodWay usually;
  if (!(all_as(sweep.fusion_thresholds_mb, usually.fusion_threshold_mb) &&
        all_as(sweep.cycle_times_ms, usually.cycle_time_ms) &&
        all_as(sweep.fp16_allreduce, "no")) &&
      std::none_of(cases.begin(), cases.end(), horovod)) {
    throw std::invalid_argument(
        "--fusion-threshold-mb, --cycle-time-ms and --fp16-allreduce are Horovod's; "
        "try --mode horovod");
  }
  if (!all_as(sweep.backends, plain.backend) &&
      std::none_of(cases.begin(), cases.end(), has_ranks)) {
    throw std::invalid_argument(
        "--backend is DDP's and Horovod's; try --mode ddp,horovod");
  }
  if (!all_as(sweep.links, plain.link) && !has_any(has_ranks)) {
    throw std::invalid_argument(
        "--link lies between DDP's or Horovod's cards; try --mode ddp --gpus 2");
  }
  const auto buckets = [](const Case& one) { return one.ddp.has_buckets(); };
  if (!all_as(sweep.bucket_caps_mb, sweep.bucket_caps_mb.front()) &&
      std::none_of(cases.begin(), cases.end(),
                   [&](const Case& one) { return ddp(one) && buckets(one); })) {
    throw std::invalid_argument("--bucket-cap-mb: --reducer " + sweep.reducers.front() +
                                " has no buckets to sweep; try --reducer bucketed");
  }
  if (sweep.shard_optimizer && has("ddp") && !has("ddp-sharded")) {
    throw std::invalid_argument("--shard-optimizer: not with --reducer " +
                                sweep.reducers.front() + "; try --reducer bucketed");
  }
  if ((has_peer(sweep, "c10d") || sweep.shard_optimizer) && !has("ddp")) {
    throw std::invalid_argument(
        "--peers c10d, and --shard-optimizer, stand beside DDP on several cards; try "
        "--mode ddp --gpus 2");
  }
  if (has_peer(sweep, "libtorch") && !has("dp-libtorch")) {
    throw std::invalid_argument(
        "--peers libtorch stands beside DataParallel on several cards; try --mode dp "
        "--gpus 2");
  }
  if (sweep.ranks_per_gpu > 1 && !has_any(has_ranks)) {
    throw std::invalid_argument(
        "--ranks-per-gpu is of DDP's or Horovod's ranks; try --mode ddp --gpus 2");
  }
  if (has_peer(sweep, "bound") && !has("bound")) {
    throw std::invalid_argument(
        "--peers bound stands beside several cards; try --mode dp,ddp --gpus 2");
  }
}

}  // namespace lockstep::cases
