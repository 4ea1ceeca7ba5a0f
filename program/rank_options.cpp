#include "program/rank_options.h"

namespace lockstep::program {

using namespace training;
namespace {

// What makes links matter less, and shows what they do.
void bind_slow_links(CLI::App& app, DdpOptions& ddp) {
  app.add_flag("!--no-overlap", ddp.overlap,
               "send the buckets when backward is over, not while it goes on");
  app.add_option("--comm-hook", ddp.comm_hook,
                 "what is sent for a bucket: allreduce, fp16, bf16 or powersgd")
      ->capture_default_str();
  app.add_option("--powersgd-rank", ddp.powersgd_rank,
                 "of the matrices that stand for a gradient")
      ->capture_default_str();
  app.add_option("--powersgd-start", ddp.powersgd_start,
                 "steps before the first that is compressed")
      ->capture_default_str();
  app.add_option("--local-sgd", ddp.local_sgd,
                 "optimizer steps between two meetings, of --reducer local-sgd (taken "
                 "where none is named) or diloco")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--outer-lr", ddp.outer_lr, "of DiLoCo's step at a meeting")
      ->capture_default_str();
  app.add_option("--outer-momentum", ddp.outer_momentum, "Nesterov's, of that step")
      ->capture_default_str();
  app.add_flag("--sync-batch-norm", ddp.sync_batch_norm,
               "batch norm's statistics over the global batch");
  app.add_flag("--join", ddp.join,
               "no sample is taken twice to make the ranks' shares equal; who is "
               "through first takes part without any");
  app.add_option("--bucket-times", ddp.bucket_times_file,
                 "when each bucket was ready, launched and finished, a JSON line a "
                 "step and rank");
}

}  // namespace

void bind_accumulate(CLI::App& app, TrainOptions& options, const std::string& names) {
  app.add_option(names, options.accumulate,
                 "average the gradients of so many batches before a step")
      ->capture_default_str();
}

void bind_ranks(CLI::App& app, CommandLine& line) {
  TrainOptions& options = line.options;
  app.add_option("--backend", options.backend,
                 "auto, gloo, nccl, shm, or hier (shm inside a host)")
      ->capture_default_str();
  app.add_option("--debug", options.debug,
                 "off or detail: that all ranks call the same collective")
      ->check(CLI::IsMember({"off", "detail"}))
      ->capture_default_str();
  app.add_option("--timeout", options.timeout_s,
                 "seconds that a rank waits for the others before it gives up")
      ->capture_default_str();
  app.add_option("--ranks-per-gpu", options.ranks_per_gpu,
                 "ranks that share each CUDA card; --gpus counts the cards")
      ->capture_default_str();
  app.add_option(
      "--master-addr", line.place.master_addr,
      "address of rank 0's machine, where ranks meet; 127.0.0.1 if not given");
  app.add_option("--master-port", line.place.master_port,
                 "port where ranks meet; 0 or not given: any free one")
      ->check(CLI::Range(0, 65535));
  app.add_option("--launcher", line.place.launcher,
                 "who started this rank: none, pytorch, slurm, mpi or auto")
      ->check(CLI::IsMember({"auto", "none", "pytorch", "slurm", "mpi"}))
      ->capture_default_str();
}

void bind_ddp(CLI::App& app, TrainOptions& options) {
  bind_accumulate(app, options);
  app.add_option("--reducer", options.ddp.reducer,
                 "naive, flat, bucketed, c10d, local-sgd or diloco")
      ->capture_default_str();
  app.add_option("--bucket-cap-mb", options.ddp.bucket_cap_mb,
                 "MiB of gradients a bucket; 0: one bucket a parameter")
      ->capture_default_str();
  app.add_flag("--find-unused-parameters", options.ddp.find_unused_parameters,
               "for a loss that does not depend on all parameters");
  app.add_flag("--static-graph", options.ddp.static_graph,
               "every step uses the same parameters, as often as the first");
  app.add_flag(
      "!--no-gradient-as-bucket-view", options.ddp.gradient_as_bucket_view,
      "copy gradients into the buckets and back, instead of keeping them there");
  app.add_flag("--shard-optimizer", options.ddp.shard_optimizer,
               "each rank steps its share of the parameters (ZeRO-1)");
  app.add_flag("!--no-broadcast-buffers", options.ddp.broadcast_buffers,
               "do not send rank 0's buffers before each forward pass");
  bind_slow_links(app, options.ddp);
}

void bind_horovod(CLI::App& app, TrainOptions& options) {
  HorovodOptions& horovod = options.horovod;
  bind_accumulate(app, options, "--accumulate,--backward-passes-per-step");
  app.add_option("--op", horovod.op,
                 "what becomes of the ranks' gradients: average or sum")
      ->check(CLI::IsMember({"average", "sum"}))
      ->capture_default_str();
  app.add_flag("--fp16-allreduce", horovod.fp16_allreduce,
               "gradients travel as 16-bit numbers");
  app.add_option("--fusion-threshold-mb", horovod.fusion_threshold_mb,
                 "MiB that are fused at most; 0: nothing is "
                 "(HOROVOD_FUSION_THRESHOLD, in bytes)");
  app.add_option("--cycle-time-ms", horovod.cycle_time_ms,
                 "from one decision of the coordinator to the next "
                 "(HOROVOD_CYCLE_TIME)");
  app.add_option("--cache-capacity", horovod.cache_capacity,
                 "tensors that are negotiated as a bit (HOROVOD_CACHE_CAPACITY)");
  app.add_option("--timeline-filename", horovod.timeline_filename,
                 "rank 0's timeline of every tensor (HOROVOD_TIMELINE)");
  app.add_flag("--timeline-mark-cycles", horovod.timeline_mark_cycles,
               "with a mark where each cycle begins (HOROVOD_TIMELINE_MARK_CYCLES)");
  app.add_flag("--no-stall-check", horovod.no_stall_check,
               "do not look for tensors that wait (HOROVOD_STALL_CHECK_DISABLE)");
  app.add_option("--stall-check-warning-time-seconds", horovod.stall_warning_s,
                 "before a line tells of tensors that wait "
                 "(HOROVOD_STALL_CHECK_TIME_SECONDS)");
  app.add_option("--stall-check-shutdown-time-seconds", horovod.stall_shutdown_s,
                 "before all ranks end because of them; 0: never "
                 "(HOROVOD_STALL_SHUTDOWN_TIME_SECONDS)");
}

void bind_machines(CLI::App& app, CommandLine& line) {
  launch::PlaceOptions& place = line.place;
  app.add_option("--nodes,--nnodes,-n", place.nodes, "machines")->capture_default_str();
  app.add_option("--node-rank", place.node_rank, "this machine's number, from 0 (-nr)")
      ->capture_default_str();
  app.add_option("--init-method", place.init_method,
                 "env://, tcp://HOST:PORT (on rank 0's machine 0.0.0.0 will do) or "
                 "file:///PATH, a file that all machines see")
      ->capture_default_str();
  app.add_option("--rank", place.rank,
                 "this process is that one rank of --world-size; start the others "
                 "yourself");
  app.add_option("--world-size", place.world_size, "ranks of the job, with --rank");
  app.add_option_function<int>(
         "--local-rank", [](int /*local_rank*/) {},
         "as old launchers add it; LOCAL_RANK counts")
      ->group("");
}

}  // namespace lockstep::program
