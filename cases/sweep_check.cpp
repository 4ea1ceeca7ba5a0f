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
  static const std::vector<std::string> modes = {"single", "dp", "ddp", "horovod",
                                                 "all"};
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

constexpr int64_t kCompiledSteps = 2;

void validate_peers(const Sweep& sweep) {
  const std::vector<std::string> known = {"c10d", "python", "python-compile", "bound",
                                          "libtorch"};
  for (const std::string& peer : sweep.peers) {
    if (std::find(known.begin(), known.end(), peer) == known.end()) {
      throw_unknown_name("peer", peer, known);
    }
    const bool python = peer.rfind("python", 0) == 0;
    const bool of_cuda = peer == "libtorch" || python;
    if (sweep.device != "cpu" && !of_cuda) {
      throw std::invalid_argument("--peers " + peer +
                                  " runs on the CPU, not on --device " + sweep.device +
                                  "; try --device cpu");
    }
    if (sweep.device == "auto" && python) {
      throw std::invalid_argument("--peers " + peer +
                                  ": Python's loop has no --device auto; name cpu or "
                                  "cuda");
    }
    // Its first step compiles, and the second finds out whether that holds.
    if (peer == "python-compile" && sweep.warmup < kCompiledSteps) {
      throw std::invalid_argument(
          "--peers python-compile compiles in its first steps; "
          "give --warmup " +
          std::to_string(kCompiledSteps) + " or more");
    }
    if (sweep.device == "cpu" && peer == "libtorch") {
      throw std::invalid_argument(
          "--peers libtorch: torch::nn::parallel::data_parallel knows CUDA cards "
          "alone; try --device cuda");
    }
  }
}

void validate_sharing(const Sweep& sweep) {
  const std::string option = "--ranks-per-gpu " + std::to_string(sweep.ranks_per_gpu);
  require_at_least(1, "--ranks-per-gpu", sweep.ranks_per_gpu);
  require_at_most(16, "--ranks-per-gpu", sweep.ranks_per_gpu);
  if (sweep.ranks_per_gpu == 1) return;
  if (sweep.device == "cpu") {
    throw std::invalid_argument(option +
                                ": only CUDA cards can be shared; try --device cuda");
  }
  if (asked_for(sweep, "dp")) {
    throw std::invalid_argument(option +
                                ": DataParallel has no ranks that could share a card; "
                                "try --mode ddp");
  }
  for (const int cards : sweep.gpus) {
    if (cards <= sweep.ranks_per_gpu || cards % sweep.ranks_per_gpu == 0) continue;
    throw std::invalid_argument("--gpus " + std::to_string(cards) +
                                ": no whole number of cards of " + option);
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

void validate_horovod(const Sweep& sweep) {
  // Within what negotiation/settings.cpp takes.
  const auto check = [](const char* option, const std::vector<double>& values,
                        double most) {
    for (const double value : values) {
      if (value >= 0 && value <= most) continue;
      throw std::invalid_argument(std::string(option) + " " + text_of(value) +
                                  ": must be a number from 0 to " + text_of(most));
    }
  };
  check("--fusion-threshold-mb", sweep.fusion_thresholds_mb, 950000);
  check("--cycle-time-ms", sweep.cycle_times_ms, 1e6);
  for (const std::string& word : sweep.fp16_allreduce) {
    if (word != "yes" && word != "no") {
      throw_unknown_name("--fp16-allreduce", word, {"yes", "no"});
    }
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

void validate(const Sweep& sweep) {
  for (const std::string& mode : sweep.modes) {
    const auto& known = all_modes();
    if (std::find(known.begin(), known.end(), mode) == known.end()) {
      throw_unknown_name("mode", mode, known);
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
  validate_sharing(sweep);
  validate_dp(sweep);
  validate_ddp(sweep);
  validate_horovod(sweep);
  validate_ways_to_send(sweep);
  validate_links(sweep);
}

}  // namespace lockstep::cases
