// What a sweep may not ask for.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <stdexcept>

#include "cases/sweep.h"
#include "emulation/hosts.h"
#include "registry/registry.h"
#include "training/options.h"

namespace lockstep::cases {
namespace {

const std::vector<std::string>& all_modes() {
  static const std::vector<std::string> modes = {"single", "dp", "ddp"};
  return modes;
}

void require_at_least(int64_t least, const char* option, int64_t value) {
  if (value < least) {
    throw std::invalid_argument(std::string(option) + " " + std::to_string(value) +
                                ": must be " + std::to_string(least) + " or more");
  }
}

void require_at_most(int64_t most, const char* option, int64_t value) {
  if (value > most) {
    throw std::invalid_argument(std::string(option) + " " + std::to_string(value) +
                                ": must be at most " + std::to_string(most));
  }
}

void validate_peers(const Sweep& sweep) {
  const std::vector<std::string> known = {"c10d", "python", "bound", "libtorch"};
  for (const std::string& peer : sweep.peers) {
    if (std::find(known.begin(), known.end(), peer) == known.end()) {
      throw_unknown_name("peer", peer, known);
    }
    const bool of_cuda = peer == "libtorch" || peer == "python";
    if (sweep.device != "cpu" && !of_cuda) {
      throw std::invalid_argument("--peers " + peer +
                                  " runs on the CPU, not on --device " + sweep.device +
                                  "; try --device cpu");
    }
    if (sweep.device == "cpu" && peer == "libtorch") {
      throw std::invalid_argument(
          "--peers libtorch: torch::nn::parallel::data_parallel knows CUDA cards "
          "alone; try --device cuda");
    }
  }
  if (sweep.device != "cpu" && !sweep.peers.empty() && asked_for(sweep, "ddp")) {
    throw std::invalid_argument(
        "--peers on --device " + sweep.device +
        " stand beside DataParallel alone; try --mode dp, or --device cpu");
  }
}

void validate_dp(const Sweep& sweep) {
  const auto known = [](const char* kind, const std::vector<std::string>& names,
                        const std::vector<std::string>& all) {
    for (const std::string& name : names) {
      if (std::find(all.begin(), all.end(), name) == all.end()) {
        throw_unknown_name(kind, name, all);
      }
    }
  };
  using Words = training::DataParallelOptions;
  known("--dp-reduce", sweep.dp_reduce, Words::reduce_words());
  known("--replicate", sweep.replicate, Words::replicate_words());
  known("--dp-loss", sweep.dp_loss, Words::loss_words());
}

void validate_ddp(const Sweep& sweep) {
  constexpr double kMost = 1e6;  // as training/options.cpp
  for (const double cap : sweep.bucket_caps_mb) {
    if (cap > kMost) {
      throw std::invalid_argument("--bucket-cap-mb " + text_of(cap) +
                                  ": must be at most 1000000");
    }
    if (std::isfinite(cap) && cap >= 0) continue;
    char text[80];
    std::snprintf(text, sizeof(text),
                  "--bucket-cap-mb %g: must be a number of 0 or more", cap);
    throw std::invalid_argument(text);
  }
}

void validate_ways_to_send(const Sweep& sweep) {
  for (const std::string& word : sweep.overlap) {
    if (word != "yes" && word != "no") {
      throw_unknown_name("--overlap", word, {"yes", "no"});
    }
  }
  const auto has_reducer = [&](const auto& wanted) {
    return std::any_of(sweep.reducers.begin(), sweep.reducers.end(),
                       [&](const auto& one) { return wanted(DdpWay{one}); });
  };
  const bool averages = has_reducer([](const DdpWay& way) { return way.averages(); });
  if (averages != (sweep.local_sgd > 0)) {
    throw std::invalid_argument(
        averages ? "--reducer local-sgd and diloco meet every --local-sgd steps; give "
                   "it, as --local-sgd 50"
                 : "--local-sgd " + std::to_string(sweep.local_sgd) +
                       ": of --reducer local-sgd or diloco; name one of them");
  }
  const DdpWay plain;
  const auto idle = [](const auto& values, const auto& usual) {
    return values.size() == 1 && values.front() == usual;
  };
  const bool buckets =
      has_reducer([&](const DdpWay& way) { return way.reducer == plain.reducer; });
  if (!buckets && !idle(sweep.comm_hooks, plain.comm_hook)) {
    throw std::invalid_argument(
        "--comm-hook is of --reducer bucketed; name it, or leave the hook out");
  }
  const auto& hooks = sweep.comm_hooks;
  if (sweep.powersgd_rank != 1 &&
      std::find(hooks.begin(), hooks.end(), "powersgd") == hooks.end()) {
    throw std::invalid_argument("--powersgd-rank " +
                                std::to_string(sweep.powersgd_rank) +
                                ": of --comm-hook powersgd; name it, or leave the "
                                "option out");
  }
  if (!buckets && !idle(sweep.overlap, "yes")) {
    throw std::invalid_argument(
        "--overlap is of --reducer bucketed; name it, or leave the option out");
  }
}

void validate_links(const Sweep& sweep) {
  const std::regex rate("([0-9]+(?:\\.[0-9]+)?)([mg])bit");
  bool slow = false;
  for (const std::string& link : sweep.links) {
    if (link.empty()) continue;
    slow = true;
    std::smatch parts;
    if (!std::regex_match(link, parts, rate)) {
      throw std::invalid_argument("--link " + link +
                                  ": must be a rate, 100mbit or 1gbit, or none");
    }
    const double mbit =
        std::strtod(parts[1].str().c_str(), nullptr) * (parts[2] == "g" ? 1000 : 1);
    if (!(mbit >= 0.1 && mbit <= 1e5)) {
      throw std::invalid_argument("--link " + link + ": must be 0.1mbit to 100gbit");
    }
  }
  require_at_least(1, "--ranks-per-host", sweep.ranks_per_host);
  if (!slow && sweep.ranks_per_host > 1) {
    throw std::invalid_argument(
        "--ranks-per-host: without --link all ranks are on this host; give one");
  }
  if (!slow) return;
  for (const int cards : sweep.gpus) {
    if (cards == 1 || cards % sweep.ranks_per_host == 0) continue;
    throw std::invalid_argument("--gpus " + std::to_string(cards) +
                                ": no whole number of hosts of --ranks-per-host " +
                                std::to_string(sweep.ranks_per_host));
  }
  for (const std::string& backend : sweep.backends) {
    if (backend == "auto" || backend == "gloo" || backend == "hier") continue;
    throw std::invalid_argument(
        "--link: --backend " + backend +
        " does not go from host to host here; try --backend gloo");
  }
  if (has_peer(sweep, "python") || sweep.device != "cpu") {
    throw std::invalid_argument(
        "--link is for emulated cards of our own loops; leave --peers python and "
        "--device out");
  }
  if (const std::string reason = emulation::Hosts::cannot(); !reason.empty()) {
    throw std::invalid_argument("--link: no hosts can be emulated here: " + reason);
  }
}

}  // namespace

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
  const DdpWay plain;
  if (!(all_as(sweep.reducers, plain.reducer) &&
        all_as(sweep.backends, plain.backend) &&
        all_as(sweep.bucket_caps_mb, plain.bucket_cap_mb) &&
        all_as(sweep.comm_hooks, plain.comm_hook) && all_as(sweep.overlap, "yes")) &&
      std::none_of(cases.begin(), cases.end(), ddp)) {
    throw std::invalid_argument(
        "--reducer, --backend, --bucket-cap-mb, --comm-hook and --overlap are DDP's; "
        "try --mode ddp");
  }
  if (!all_as(sweep.links, plain.link) && !has("ddp")) {
    throw std::invalid_argument(
        "--link lies between DDP's cards; try --mode ddp --gpus 2");
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
  if (has_peer(sweep, "bound") && !has("bound")) {
    throw std::invalid_argument(
        "--peers bound stands beside several cards; try --mode dp,ddp --gpus 2");
  }
}

void validate(const Sweep& sweep) {
  for (const std::string& mode : sweep.modes) {
    if (mode == "all") continue;
    const auto& known = all_modes();
    if (std::find(known.begin(), known.end(), mode) == known.end()) {
      throw_unknown_name("mode", mode, {"single", "dp", "ddp", "all"});
    }
  }
  for (const int cards : sweep.gpus) {
    if (cards < 1 || cards > 64) {
      throw std::invalid_argument("--gpus " + std::to_string(cards) +
                                  ": must be a number of cards from 1 to 64");
    }
  }
  for (const std::string& scaling : sweep.scalings) {
    if (scaling != "weak" && scaling != "strong") {
      throw_unknown_name("scaling", scaling, {"weak", "strong"});
    }
  }
  require_at_least(1, "--steps", sweep.steps);
  require_at_least(0, "--warmup", sweep.warmup);
  require_at_least(1, "--repetitions", sweep.repetitions);
  // Sums and products of these stay far from overflowing.
  constexpr int64_t kMost = 1000000000;
  for (const int64_t batch : sweep.batch_sizes) {
    require_at_least(1, "--batch-size", batch);
    require_at_most(kMost, "--batch-size", batch);
  }
  require_at_most(kMost, "--steps", sweep.steps);
  require_at_most(kMost, "--warmup", sweep.warmup);
  require_at_least(0, "--threads-per-card", sweep.threads_per_card);
  if (!std::isfinite(sweep.lr) || sweep.lr < 0) {
    throw std::invalid_argument("--lr " + std::to_string(sweep.lr) +
                                ": must be a number of 0 or more");
  }
  validate_peers(sweep);
  validate_dp(sweep);
  validate_ddp(sweep);
  validate_ways_to_send(sweep);
  validate_links(sweep);
}

}  // namespace lockstep::cases
