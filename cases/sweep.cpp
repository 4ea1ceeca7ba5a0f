#include "cases/sweep.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <stdexcept>

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

bool asked_for(const Sweep& sweep, const std::string& mode) {
  return std::any_of(sweep.modes.begin(), sweep.modes.end(),
                     [&](const auto& one) { return one == mode || one == "all"; });
}

bool has_peer(const Sweep& sweep, const std::string& peer) {
  return std::find(sweep.peers.begin(), sweep.peers.end(), peer) != sweep.peers.end();
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

// DDP on so many cards, every way that was asked for.
std::vector<std::string> ddp_modes(const Sweep& sweep, int cards) {
  std::vector<std::string> modes = {"ddp"};
  if (cards == 1) return modes;
  if (sweep.shard_optimizer) modes.emplace_back("ddp-sharded");
  if (has_peer(sweep, "c10d")) modes.emplace_back("ddp-c10d");
  if (has_peer(sweep, "python")) modes.emplace_back("ddp-python");
  return modes;
}

// Each once, as numbers of cards and models are.
std::vector<DpWay> dp_ways(const Sweep& sweep) {
  std::vector<DpWay> ways;
  std::set<std::string> known;
  for (const std::string& reduce : sweep.dp_reduce) {
    for (const std::string& replicate : sweep.replicate) {
      for (const std::string& loss : sweep.dp_loss) {
        for (const double share : sweep.primary_share) {
          const DpWay way = {reduce, replicate, loss, share};
          if (known.insert(way.mode()).second) ways.push_back(way);
        }
      }
    }
  }
  return ways;
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

// What is measured beside others needs these, and DataParallel's ways DataParallel.
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

}  // namespace

std::string DpWay::mode() const {
  std::string mode = "dp";
  if (reduce != "auto") mode += "-" + reduce;
  if (replicate != "cached") mode += "-" + replicate;
  if (loss != "primary") mode += "-loss-" + loss;
  if (primary_share != 1) {
    std::ostringstream share;
    share << primary_share;
    mode += "-share-" + share.str();
  }
  return mode;
}

std::string Sweep::dataset_of(const std::string& model) const {
  if (!dataset.empty()) return dataset;
  const std::string usual = training::usual_dataset(model);
  return usual == "fashion-mnist" ? images : usual;
}

std::string Case::name() const {
  return mode + "/" + model + "/cards:" + std::to_string(cards) +
         (link.empty() ? "" : "/link:" + link);
}

std::string Case::loop() const { return mode.substr(0, mode.find('-')); }

bool Case::in_python() const {
  const std::string kind = "-python";
  return mode.size() > kind.size() &&
         mode.compare(mode.size() - kind.size(), kind.size(), kind) == 0;
}

bool Case::ours() const {
  return !in_python() && mode != "ddp-c10d" && mode != "dp-libtorch" && mode != "bound";
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
  if (sweep.scaling != "weak" && sweep.scaling != "strong") {
    throw_unknown_name("scaling", sweep.scaling, {"weak", "strong"});
  }
  require_at_least(1, "--batch-size", sweep.batch_size);
  require_at_least(1, "--steps", sweep.steps);
  require_at_least(0, "--warmup", sweep.warmup);
  require_at_least(1, "--repetitions", sweep.repetitions);
  // Sums and products of these stay far from overflowing.
  constexpr int64_t kMost = 1000000000;
  require_at_most(kMost, "--batch-size", sweep.batch_size);
  require_at_most(kMost, "--steps", sweep.steps);
  require_at_most(kMost, "--warmup", sweep.warmup);
  require_at_least(0, "--threads-per-card", sweep.threads_per_card);
  if (!std::isfinite(sweep.lr) || sweep.lr < 0) {
    throw std::invalid_argument("--lr " + std::to_string(sweep.lr) +
                                ": must be a number of 0 or more");
  }
  validate_peers(sweep);
  validate_dp(sweep);
}

std::vector<Case> cases_of(Sweep& sweep, int cores) {
  if (sweep.gpus.empty()) {
    for (int cards = 1; cards <= std::clamp(cores, 2, 8); cards *= 2) {
      sweep.gpus.push_back(cards);
    }
  }
  const int most = *std::max_element(sweep.gpus.begin(), sweep.gpus.end());
  if (sweep.threads_per_card == 0) sweep.threads_per_card = std::max(1, cores / most);
  const std::set<int> counts(sweep.gpus.begin(), sweep.gpus.end());

  std::vector<Case> cases;
  std::set<std::string> models;
  for (const std::string& model : sweep.models) {
    if (!models.insert(model).second) continue;
    const auto add = [&](const std::string& mode, int cards, const DpWay& way = {}) {
      Case one{mode, model, cards, sweep.threads_per_card, sweep.batch_size, way};
      if (sweep.scaling == "strong") {
        const int64_t global = sweep.batch_size * most;
        if (global % cards != 0) {
          throw std::invalid_argument(
              "--scaling strong: the global batch of " + std::to_string(global) +
              " does not divide by " + std::to_string(cards) +
              " cards; try --batch-size " + std::to_string(sweep.batch_size * cards));
        }
        one.local_batch = global / cards;
      }
      cases.push_back(one);
    };
    add("single", 1);
    const bool cuda = sweep.device != "cpu";
    if (has_peer(sweep, "python") && !cuda) add("single-python", 1);
    for (const DpWay& way : dp_ways(sweep)) {
      if (!asked_for(sweep, "dp")) break;
      for (const int cards : counts) add(way.mode(), cards, way);
    }
    // torch::nn::parallel::data_parallel and nn.DataParallel, which are CUDA's.
    for (const std::string peer : {"libtorch", "python"}) {
      if (!cuda || !asked_for(sweep, "dp") || !has_peer(sweep, peer)) continue;
      for (const int cards : counts) {
        if (cards > 1) add("dp-" + peer, cards);
      }
    }
    for (const int cards : counts) {
      if (!asked_for(sweep, "ddp")) continue;
      for (const std::string& mode : ddp_modes(sweep, cards)) {
        if (sweep.links.empty() || cards == 1) add(mode, cards);
        for (const std::string& link : sweep.links) {
          if (cards == 1) break;
          add(mode, cards);
          cases.back().link = link;
        }
      }
    }
    for (const int cards : counts) {
      const bool parallel = asked_for(sweep, "dp") || asked_for(sweep, "ddp");
      if (cards > 1 && parallel && !cuda && !sweep.peers.empty()) add("bound", cards);
    }
  }
  check_company(sweep, cases);
  return cases;
}

}  // namespace lockstep::cases
