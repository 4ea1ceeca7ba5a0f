// What a bench run is asked to measure: lists of modes, cards, models and knobs, and
// from them the cases, every combination that means something.
//
// Note [Names of cases]
// "ddp/mlp/cards:2" where no knob is swept, and after it, in this order, the knobs that
// are and that the case has:
// "/batch:32/reducer:flat/cap:5/hook:fp16/overlap:no/backend:shm/link:1gbit/
// scaling:strong", where Horovod has "/fusion:64/cycle:5/fp16:yes" before the backend.
// A link is named even where it is the only one. So a name says all that tells a case
// from others of its run and nothing else, and stays the same from run to run of one
// sweep. DataParallel's ways are modes.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::cases {

// A knob's value as names, rows and command lines have it: the shortest text that reads
// back as the same number, so that two values never share a name.
std::string text_of(double value);

// One way through DataParallel, by the words of data_parallel's command line.
struct DpWay {
  std::string reduce = "auto";
  std::string replicate = "cached";
  std::string loss = "primary";
  double primary_share = 1;
  // "dp" where nothing was asked for, else "dp-tree", "dp-every-step", ...
  std::string mode() const;
};

// One way through DDP, by the words of ddp's command line.
struct DdpWay {
  std::string reducer = "bucketed";
  std::string backend = "auto";
  double bucket_cap_mb = 25;  // of a reducer without buckets: told, and nothing to it
  // Each card a host of its own, emulated, with cables of this rate between them, as tc
  // writes it ("300mbit"); empty: all on this machine.
  std::string link{};
  int ranks_per_host = 1;  // where there is a link
  // Of the bucketed reducer alone.
  std::string comm_hook = "allreduce";
  bool overlap = true;

  bool averages() const { return reducer == "local-sgd" || reducer == "diloco"; }
  bool has_buckets() const {
    return reducer != "naive" && reducer != "flat" && !averages();
  }
  // What it computes is not what one card does, on purpose.
  bool lossy() const { return averages() || comm_hook != "allreduce"; }
};

// One way through Horovod, by the words of horovod's command line and with Horovod's
// defaults. Its backend and link are those of the DdpWay beside it.
struct HorovodWay {
  double fusion_threshold_mb = 128;
  double cycle_time_ms = 1;
  bool fp16_allreduce = false;

  bool lossy() const { return fp16_allreduce; }
};

struct Sweep {
  // "single", "dp", "ddp", "horovod", "all"
  std::vector<std::string> modes = {"all"};
  // DataParallel's ways: all combinations.
  std::vector<std::string> dp_reduce = {"auto"};
  std::vector<std::string> replicate = {"cached"};
  std::vector<std::string> dp_loss = {"primary"};
  std::vector<double> primary_share = {1};
  std::vector<int> gpus;  // empty: 1, 2, 4 .. up to the cores, at most 8
  std::vector<std::string> models = {"mlp", "convnet"};
  std::string dataset;                   // empty: each model's own
  std::string images = "fashion-mnist";  // of the models whose own are images
  std::string dataset_of(const std::string& model) const;
  std::string data_dir;
  int64_t vocab_size = 50257;
  // weak: the local batch is fixed; strong: the global batch
  std::vector<std::string> scalings = {"weak"};
  // Local; under strong scaling that of the most cards. Each has its own single card.
  std::vector<int64_t> batch_sizes = {64};
  int64_t steps = 60;  // measured ones
  int64_t warmup = 10;
  int repetitions = 3;
  // Threads of every card in the sweep, the single-card baseline included. 0: cores /
  // the largest number of cards, at least 1.
  int threads_per_card = 0;
  std::string device = "cpu";  // emulated cards, on every machine
  std::string precision = "fp32";
  // DDP's ways: all combinations. Backends and links are Horovod's as well.
  std::vector<std::string> reducers = {"bucketed"};
  std::vector<std::string> backends = {"auto"};
  std::vector<double> bucket_caps_mb = {25};
  std::vector<std::string> links = {""};
  int ranks_per_host = 1;  // where there are links
  std::vector<std::string> comm_hooks = {"allreduce"};
  int64_t powersgd_rank = 1;  // of those hooks that have one
  std::vector<std::string> overlap = {"yes"};
  int64_t local_sgd = 0;  // of those reducers that average parameters
  // Also ddp with the optimizer's work shared out over the ranks.
  bool shard_optimizer = false;
  // Horovod's ways: all combinations.
  std::vector<double> fusion_thresholds_mb = {128};
  std::vector<double> cycle_times_ms = {1};
  std::vector<std::string> fp16_allreduce = {"no"};
  bool channels_last = false;    // of images and convolutions, in all cases
  bool cudnn_benchmark = false;  // of all cases on CUDA
  bool cuda_graph = false;       // of our loops that can (training/train_step.h)
  int num_workers = 0;           // of each card's loader, in our loops
  bool pin_memory = false;  // of Python's batches as well
  double lr = 0.01;
  uint64_t seed = 0;
  // Ranks that may share a CUDA card: so many cases of ranks find room on one.
  int ranks_per_gpu = 1;
  // Measured beside ours: "c10d", "python", "python-compile", "bound"; the bound is
  // there with any. On CUDA "libtorch", "python" and "python-compile".
  std::vector<std::string> peers;
  // Once more a case of ours, after the timed runs: its cards' memory over a step.
  bool memory_timeline = false;
  std::string out = "reports/out";
};

// One point of the sweep: a program and what it is told.
struct Case {
  // "single", "dp", "ddp", "horovod": a loop of ours. Behind a hyphen another way
  // through it: "ddp-sharded", "dp-tree", and the peers "ddp-c10d" (our loop with
  // LibTorch's own c10d::Reducer over gloo), "single-python", "single-python-compile",
  // "ddp-python", "dp-python" and "dp-libtorch". "bound": so many single cards at once,
  // which do not communicate.
  std::string mode;
  std::string model;
  int cards = 1;
  int threads_per_card = 1;
  int64_t local_batch = 64;
  DpWay dp{};
  DdpWay ddp{};
  std::string scaling = "weak";
  std::string knobs{};  // the end of its name: "/batch:32", or nothing
  HorovodWay horovod{};
  int ranks_per_gpu = 1;  // that share each of its CUDA cards
  int64_t global_batch() const { return local_batch * cards; }
  std::string name() const;  // Note [Names of cases]
  std::string loop() const;  // "ddp" of "ddp-python"
  bool has_ranks() const;    // a process a card: DDP or Horovod
  bool lossy() const;        // what it computes is not what one card does, on purpose
  bool in_python() const;
  bool ours() const;  // no peer, no bound
};

// Throws std::invalid_argument naming the value that cannot be.
void validate(const Sweep& sweep);
// What is measured beside others needs these, and knobs somebody who has them.
void check_company(const Sweep& sweep, const std::vector<Case>& cases);

// The sweep's, each once, in the order given.
std::vector<DpWay> dp_ways(const Sweep& sweep);
std::vector<DdpWay> ddp_ways(const Sweep& sweep);
// Of each the backend and link, and Horovod's own.
std::vector<std::pair<DdpWay, HorovodWay>> horovod_ways(const Sweep& sweep);
bool asked_for(const Sweep& sweep, const std::string& mode);
bool has_peer(const Sweep& sweep, const std::string& peer);

// 1, 2, 4 .. up to the cores, 2 at least and 8 at most.
std::vector<int> default_cards(int cores);

// Every combination; `single` only at one card, and always there: the others are
// measured against it. Values not given are filled in first, so the sweep says what was
// run.
std::vector<Case> cases_of(Sweep& sweep, int cores);

}  // namespace lockstep::cases

namespace lockstep {
using cases::Case;
using cases::DdpWay;
using cases::DpWay;
using cases::Sweep;
}  // namespace lockstep
