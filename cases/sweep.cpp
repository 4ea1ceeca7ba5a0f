#include "cases/sweep.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "cases/each_once.h"
#include "training/options.h"

namespace lockstep::cases {
namespace {

// The way of a mode of DDP: peers have a reducer and a backend of their own.
std::vector<DdpWay> ways_of(const std::string& mode, const Sweep& sweep) {
  std::vector<DdpWay> ways;
  if (mode == "ddp-c10d" || mode == "ddp-python") {
    for (const double cap : each_once(sweep.bucket_caps_mb)) {
      for (const std::string& link : each_once(sweep.links)) {
        const std::string backend = sweep.device == "cuda" ? "nccl" : "gloo";
        ways.push_back({"c10d", backend, cap, link, sweep.ranks_per_host});
      }
    }
    return ways;
  }
  for (const DdpWay& way : ddp_ways(sweep)) {
    // Parameters are stepped as their buckets come together: no other reducer does.
    if (mode == "ddp-sharded" &&
        (way.reducer != "bucketed" || way.lossy() || !way.overlap)) {
      continue;
    }
    ways.push_back(way);
  }
  return ways;
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

// Note [Names of cases]
std::string knobs_of(const Case& one, const Sweep& sweep, int64_t batch) {
  std::string knobs;
  const auto add = [&](const auto& swept, const std::string& word) {
    if (each_once(swept).size() > 1) knobs += "/" + word;
  };
  add(sweep.batch_sizes, "batch:" + std::to_string(batch));
  const bool peer = !one.ours();
  if (one.loop() == "ddp") {
    if (!peer) add(sweep.reducers, "reducer:" + one.ddp.reducer);
    if (one.ddp.has_buckets()) {
      add(sweep.bucket_caps_mb, "cap:" + text_of(one.ddp.bucket_cap_mb));
    }
    if (one.ddp.reducer == "bucketed") {
      add(sweep.comm_hooks, "hook:" + one.ddp.comm_hook);
      add(sweep.overlap, std::string("overlap:") + (one.ddp.overlap ? "yes" : "no"));
    }
  }
  if (one.loop() == "horovod") {
    const HorovodWay& way = one.horovod;
    add(sweep.fusion_thresholds_mb, "fusion:" + text_of(way.fusion_threshold_mb));
    add(sweep.cycle_times_ms, "cycle:" + text_of(way.cycle_time_ms));
    add(sweep.fp16_allreduce, std::string("fp16:") + (way.lossy() ? "yes" : "no"));
  }
  if (one.has_ranks()) {
    if (!peer) add(sweep.backends, "backend:" + one.ddp.backend);
    if (!one.ddp.link.empty()) knobs += "/link:" + one.ddp.link;
  }
  add(sweep.scalings, "scaling:" + one.scaling);
  return knobs;
}

// The cases of one model, batch and kind of scaling.
class Group {
 public:
  Group(const Sweep& sweep, const Case& like, int64_t batch, std::vector<Case>& cases)
      : sweep_(sweep),
        like_(like),
        batch_(batch),
        most_(*std::max_element(sweep.gpus.begin(), sweep.gpus.end())),
        counts_(sweep.gpus.begin(), sweep.gpus.end()),
        cases_(cases) {}

  void add_all() {
    add("single", 1);
    const bool cuda = sweep_.device != "cpu";
    for (const std::string peer : {"python", "python-compile"}) {
      if (has_peer(sweep_, peer)) add("single-" + peer, 1);
    }
    if (asked_for(sweep_, "dp")) add_data_parallel(cuda);
    for (const int cards : counts_) {
      if (!asked_for(sweep_, "ddp")) break;
      for (const std::string& mode : ddp_modes(sweep_, cards)) {
        for (const DdpWay& way : ways_of(mode, sweep_)) {
          if (cards == 1 && way.link != sweep_.links.front()) continue;
          add(mode, cards, {}, way);
        }
      }
    }
    if (asked_for(sweep_, "horovod")) add_horovod();
    const bool parallel = asked_for(sweep_, "dp") || asked_for(sweep_, "ddp") ||
                          asked_for(sweep_, "horovod");
    for (const int cards : counts_) {
      if (cards > 1 && parallel && !cuda && !sweep_.peers.empty()) add("bound", cards);
    }
  }

 private:
  void add_data_parallel(bool cuda) {
    for (const DpWay& way : dp_ways(sweep_)) {
      for (const int cards : counts_) add(way.mode(), cards, way);
    }
    // torch::nn::parallel::data_parallel and nn.DataParallel, which are CUDA's.
    for (const std::string peer : {"libtorch", "python"}) {
      if (!cuda || !has_peer(sweep_, peer)) continue;
      for (const int cards : counts_) {
        if (cards > 1) add("dp-" + peer, cards);
      }
    }
  }

  void add_horovod() {
    for (const int cards : counts_) {
      for (const auto& [place, way] : horovod_ways(sweep_)) {
        if (cards == 1 && place.link != sweep_.links.front()) continue;
        add("horovod", cards, {}, place, way);
      }
    }
  }

  void add(const std::string& mode, int cards, const DpWay& dp = {},
           const DdpWay& ddp = {}, const HorovodWay& horovod = {}) {
    Case one = like_;
    one.mode = mode;
    one.cards = cards;
    one.dp = dp;
    one.ddp = ddp;
    one.horovod = horovod;
    if (cards == 1) one.ddp.link.clear();  // nobody is at its other end
    if (one.ddp.link.empty()) one.ddp.ranks_per_host = 1;
    if (one.has_ranks()) one.ranks_per_gpu = std::min(cards, sweep_.ranks_per_gpu);
    one.local_batch = batch_;
    if (one.scaling == "strong") {
      const int64_t global = batch_ * most_;
      if (global % cards != 0) {
        throw std::invalid_argument(
            "--scaling strong: the global batch of " + std::to_string(global) +
            " does not divide by " + std::to_string(cards) +
            " cards; try --batch-size " + std::to_string(batch_ * cards));
      }
      one.local_batch = global / cards;
    }
    one.knobs = knobs_of(one, sweep_, batch_);
    cases_.push_back(std::move(one));
  }

  const Sweep& sweep_;
  const Case& like_;
  int64_t batch_;
  int most_;
  std::set<int> counts_;
  std::vector<Case>& cases_;
};

}  // namespace

bool asked_for(const Sweep& sweep, const std::string& mode) {
  return std::any_of(sweep.modes.begin(), sweep.modes.end(),
                     [&](const auto& one) { return one == mode || one == "all"; });
}

bool has_peer(const Sweep& sweep, const std::string& peer) {
  return std::find(sweep.peers.begin(), sweep.peers.end(), peer) != sweep.peers.end();
}

std::string Sweep::dataset_of(const std::string& model) const {
  if (!dataset.empty()) return dataset;
  const std::string usual = training::usual_dataset(model);
  return usual == "fashion-mnist" ? images : usual;
}

std::string Case::name() const {
  return mode + "/" + model + "/cards:" + std::to_string(cards) + knobs;
}

std::string Case::loop() const { return mode.substr(0, mode.find('-')); }

bool Case::has_ranks() const { return loop() == "ddp" || loop() == "horovod"; }

bool Case::lossy() const {
  return (loop() == "ddp" && ddp.lossy()) || (loop() == "horovod" && horovod.lossy());
}

bool Case::in_python() const { return mode.find("-python") != std::string::npos; }

bool Case::ours() const {
  return !in_python() && mode != "ddp-c10d" && mode != "dp-libtorch" && mode != "bound";
}

std::vector<int> default_cards(int cores) {
  std::vector<int> counts;
  for (int cards = 1; cards <= std::clamp(cores, 2, 8); cards *= 2) {
    counts.push_back(cards);
  }
  return counts;
}

std::vector<Case> cases_of(Sweep& sweep, int cores) {
  if (sweep.gpus.empty()) sweep.gpus = default_cards(cores);
  const int most = *std::max_element(sweep.gpus.begin(), sweep.gpus.end());
  if (sweep.threads_per_card == 0) sweep.threads_per_card = std::max(1, cores / most);

  std::vector<Case> cases;
  for (const std::string& model : each_once(sweep.models)) {
    for (const std::string& scaling : each_once(sweep.scalings)) {
      for (const int64_t batch : each_once(sweep.batch_sizes)) {
        Case like;
        like.model = model;
        like.scaling = scaling;
        like.threads_per_card = sweep.threads_per_card;
        Group(sweep, like, batch, cases).add_all();
      }
    }
  }
  check_company(sweep, cases);
  return cases;
}

}  // namespace lockstep::cases
