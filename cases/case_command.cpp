#include "cases/case_command.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "data/data_folder.h"
#include "training/options.h"

namespace lockstep::cases {
namespace {

namespace fs = std::filesystem;

using Words = std::vector<std::string>;

// The reference stands in for any mode: it is one card of ours.
std::string program_name(const Case& one, const RunPlan& plan) {
  if (plan.reference || one.loop() == "single" || one.mode == "bound") {
    return "single_gpu";
  }
  return one.loop() == "dp" ? "data_parallel" : one.loop();
}

// What makes a case lossy is left out where the plan says so.
std::string precision_of(const Sweep& sweep, const RunPlan& plan) {
  if (!plan.precision.empty()) return plan.precision;
  return plan.lossless && training::rounds(sweep.precision) ? "fp32" : sweep.precision;
}

// What ours and the Python peer are told alike.
Words shared_arguments(const Case& one, const Sweep& sweep, const RunPlan& plan) {
  Words arguments = {"--model",      one.model,
                     "--dataset",    sweep.dataset_of(one.model),
                     "--data-dir",   sweep.data_dir,
                     "--batch-size", std::to_string(one.local_batch),
                     "--steps",      std::to_string(plan.steps),
                     "--precision",  precision_of(sweep, plan),
                     "--lr",         text_of(sweep.lr),
                     "--seed",       std::to_string(sweep.seed),
                     "--drop-last"};
  if (training::takes_tokens(one.model, sweep.dataset_of(one.model))) {
    arguments.emplace_back("--vocab-size");
    arguments.push_back(std::to_string(sweep.vocab_size));
  }
  if (sweep.channels_last) arguments.emplace_back("--channels-last");
  if (sweep.cudnn_benchmark) arguments.emplace_back("--cudnn-benchmark");
  if (sweep.pin_memory) arguments.emplace_back("--pin-memory");
  return arguments;
}

Words arguments_of(const Case& one, const Sweep& sweep, const RunPlan& plan) {
  Words arguments = shared_arguments(one, sweep, plan);
  const auto add = [&](const std::string& option, const std::string& value) {
    arguments.push_back(option);
    arguments.push_back(value);
  };
  add("--threads-per-card", std::to_string(one.threads_per_card));
  add("--device", sweep.device);
  arguments.emplace_back("--quiet");
  if (sweep.num_workers > 0) add("--num-workers", std::to_string(sweep.num_workers));
  // The reference takes its step in eager mode: what is recorded is held to it.
  const bool one_card_a_process = one.loop() == "single" || one.loop() == "ddp";
  if (sweep.cuda_graph && one_card_a_process && !plan.reference) {
    arguments.emplace_back("--cuda-graph");
  }
  if (plan.memory_timeline) arguments.emplace_back("--memory-timeline");
  if (!plan.trace.empty()) add("--trace", plan.trace);
  if (plan.card_memory_gib > 0) add("--card-memory", text_of(plan.card_memory_gib));
  const bool alone = one.loop() == "single" || one.mode == "bound";
  if (plan.reference) {
    add("--accumulate", std::to_string(alone ? 1 : one.cards));
    // Ranks take every N-th sample; DataParallel cuts the global batch in pieces.
    if (one.has_ranks()) add("--sampler", "ranks-in-turn");
    return arguments;
  }
  if (alone) return arguments;
  // On hosts of their own the ranks are told who they are.
  if (one.ddp.link.empty()) {
    add("--gpus", std::to_string(one.cards / one.ranks_per_gpu));
    if (one.ranks_per_gpu > 1) {
      add("--ranks-per-gpu", std::to_string(one.ranks_per_gpu));
    }
  } else if (one.ddp.ranks_per_host > 1) {
    add("--gpus", std::to_string(one.ddp.ranks_per_host));
  }
  if (one.loop() == "dp") {
    if (one.mode == "dp-libtorch") add("--dp-steps", "libtorch");
    add("--dp-reduce", one.dp.reduce);
    add("--replicate", one.dp.replicate);
    add("--dp-loss", one.dp.loss);
    // One card alone has the whole batch, and its program no such share.
    if (!plan.equal_shares && one.cards > 1) {
      add("--primary-share", text_of(one.dp.primary_share));
    }
    return arguments;
  }
  add("--backend", one.ddp.backend);
  const bool lossless = plan.lossless && one.lossy();
  if (one.loop() == "horovod") {
    add("--fusion-threshold-mb", text_of(one.horovod.fusion_threshold_mb));
    add("--cycle-time-ms", text_of(one.horovod.cycle_time_ms));
    if (one.lossy() && !lossless) arguments.emplace_back("--fp16-allreduce");
    return arguments;
  }
  add("--reducer", lossless ? "bucketed" : one.ddp.reducer);
  add("--bucket-cap-mb", text_of(one.ddp.bucket_cap_mb));
  if (!plan.bucket_times.empty()) add("--bucket-times", plan.bucket_times);
  if (!one.ddp.overlap) arguments.emplace_back("--no-overlap");
  if (one.ddp.averages() && !lossless) {
    add("--local-sgd", std::to_string(sweep.local_sgd));
  }
  if (one.ddp.comm_hook != "allreduce" && !lossless) {
    add("--comm-hook", one.ddp.comm_hook);
    if (one.ddp.comm_hook == "powersgd") {
      add("--powersgd-rank", std::to_string(sweep.powersgd_rank));
    }
  }
  if (one.mode == "ddp-sharded") arguments.emplace_back("--shard-optimizer");
  return arguments;
}

// The environment that CMake saw, or the one that the user names.
std::string python() {
  const char* named = std::getenv("LOCKSTEP_PYTHON");
  std::string path = named != nullptr ? named : LOCKSTEP_BENCH_PYTHON;
  if (!fs::exists(path)) {
    throw std::invalid_argument("--peers python: " + path +
                                " is not there; run `make setup`, name one in "
                                "LOCKSTEP_PYTHON, or leave python out");
  }
  return path;
}

// Those of the tree that this was built in, unless they were carried elsewhere.
std::string python_peer() {
  const char* named = std::getenv("LOCKSTEP_PEERS");
  std::string path =
      std::string(named != nullptr ? named : LOCKSTEP_BENCH_PEERS) + "/train.py";
  if (!fs::exists(path)) {
    throw std::invalid_argument("--peers python: " + path +
                                " is not there; name its folder in LOCKSTEP_PEERS, or "
                                "leave python out");
  }
  return path;
}

void check_python_reads(const std::string& dataset, const std::string& data_dir) {
  try {
    if (dataset == "tokens") return;
    if (dataset == "cifar10") {
      data::find_cifar10_files(data_dir);
    } else {
      data::find_idx_files(dataset, data_dir);
    }
  } catch (const std::exception& error) {
    throw std::invalid_argument("--peers python reads files and tokens: " +
                                std::string(error.what()) + "; or leave python out");
  }
}

launch::Command python_command(const Case& one, const Sweep& sweep,
                               const RunPlan& plan) {
  check_python_reads(sweep.dataset_of(one.model), sweep.data_dir);
  launch::Command command;
  // torchrun and its ranks know nothing of die_with_parent(): each is told to end with
  // whoever started it.
  const Words leash = {"setpriv", "--pdeathsig", "KILL"};
  const auto add = [&](const Words& words) {
    command.argv.insert(command.argv.end(), words.begin(), words.end());
  };
  add(leash);
  const bool ranks = one.loop() == "ddp" && one.cards > 1;
  if (ranks) {
    // A rank's torchrun may have ended before the kernel was told to watch: then the
    // rank has another parent by now.
    add({"sh", "-c", "exec env LOCKSTEP_TORCHRUN=$$ \"$@\"", "sh"});
    // By this address, for a host's name need not lead anywhere; and without a place
    // for its logs torchrun leaves a folder behind.
    add({python(), "-m", "torch.distributed.run", "--standalone", "--local-addr",
         "127.0.0.1", "--nproc-per-node", std::to_string(one.cards), "--no-python",
         "--log-dir", "/dev/null"});
    add(leash);
    add({"sh", "-c", "[ $PPID = $LOCKSTEP_TORCHRUN ] && exec \"$@\"", "sh"});
  }
  add({python(), python_peer(), "--threads", std::to_string(one.threads_per_card),
       "--device", sweep.device});
  add(shared_arguments(one, sweep, plan));
  if (ranks) add({"--bucket-cap-mb", text_of(one.ddp.bucket_cap_mb)});
  if (one.ranks_per_gpu > 1) {
    add({"--ranks-per-gpu", std::to_string(one.ranks_per_gpu)});
  }
  if (one.loop() == "dp") add({"--data-parallel", std::to_string(one.cards)});
  command.extra_env["OMP_NUM_THREADS"] = std::to_string(one.threads_per_card);
  if (one.mode == "single-python-compile") {
    add({"--compile"});
  } else {
    // PyTorch's compiler makes its folder as it is loaded, used or not: any that is
    // there will do.
    command.extra_env["TORCHINDUCTOR_CACHE_DIR"] = "/";
  }
  return command;
}

}  // namespace

std::string program(const std::string& name) {
  return (fs::read_symlink("/proc/self/exe").parent_path() / name).string();
}

std::string speaker_of(const Case& one, const RunPlan& plan) {
  return one.in_python() && !plan.reference ? "train.py" : program_name(one, plan);
}

launch::Command command_of(const Case& one, const Sweep& sweep, const RunPlan& plan,
                           const std::vector<std::string>& more) {
  launch::Command command;
  if (one.in_python() && !plan.reference) {
    command = python_command(one, sweep, plan);
  } else {
    command.argv = {program(program_name(one, plan))};
    const Words arguments = arguments_of(one, sweep, plan);
    command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
    command.dies_with_parent = true;
  }
  command.argv.insert(command.argv.end(), more.begin(), more.end());
  command.err = command.out = launch::Output::kCapture;
  return command;
}

}  // namespace lockstep::cases
