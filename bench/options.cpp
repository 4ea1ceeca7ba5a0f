#include "bench/options.h"

#include "training/options.h"

namespace lockstep::bench {
namespace {

void bind_cases(CLI::App& app, Sweep& sweep) {
  app.add_option("--mode", sweep.modes, "single, dp, ddp, horovod, all; a list sweeps")
      ->delimiter(',');
  app.add_option("--gpus,-g", sweep.gpus,
                 "numbers of cards; default 1,2,4.. up to the cores")
      ->delimiter(',');
  app.add_option("--model", sweep.models, "models")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option(
      "--dataset", sweep.dataset,
      "of all models, as the programs name them; not given: what suits each");
  app.add_option("--data-dir", sweep.data_dir,
                 "folder of the data set's files; of tokens a text file");
  app.add_option("--vocab-size", sweep.vocab_size,
                 "tokens that there are, for a transformer")
      ->capture_default_str();
  app.add_option("--scaling", sweep.scalings,
                 "weak (local batch fixed) or strong (global); a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--batch-size", sweep.batch_sizes,
                 "samples a card and step; a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--steps", sweep.steps, "timed steps")->capture_default_str();
  app.add_option("--warmup", sweep.warmup, "steps before them")->capture_default_str();
  app.add_option("--repetitions", sweep.repetitions, "runs of each case, interleaved")
      ->capture_default_str();
  app.add_option("--threads-per-card", sweep.threads_per_card,
                 "of every emulated card of the sweep; 0: cores / most cards")
      ->capture_default_str();
  app.add_option("--device", sweep.device, "cpu, cuda or auto")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--precision", sweep.precision, "fp32, fp64, tf32 (on CUDA) or bf16")
      ->check(CLI::IsMember(training::TrainOptions::precision_words()))
      ->capture_default_str();
  app.add_flag("--channels-last", sweep.channels_last,
               "images and convolutions in channels-last layout, in all cases");
  app.add_flag(
      "--cudnn-benchmark", sweep.cudnn_benchmark,
      "convolutions on CUDA cards take whichever way is quickest, in all cases");
  app.add_flag("--cuda-graph", sweep.cuda_graph,
               "our single cards and ranks replay their step as a CUDA graph");
  app.add_option("--num-workers", sweep.num_workers,
                 "threads of ours that prepare batches ahead, of each card")
      ->capture_default_str();
  app.add_flag("--pin-memory", sweep.pin_memory,
               "batches lie in page-locked memory, for CUDA cards, Python's as well");
}

void bind_data_parallel(CLI::App& app, Sweep& sweep) {
  app.add_option("--dp-reduce", sweep.dp_reduce,
                 "DataParallel's: serial, tree, nccl or auto; a list sweeps")
      ->delimiter(',');
  app.add_option("--replicate", sweep.replicate, "DataParallel's: cached, every-step")
      ->delimiter(',');
  app.add_option("--dp-loss", sweep.dp_loss, "DataParallel's: primary, replica")
      ->delimiter(',');
  app.add_option("--primary-share", sweep.primary_share,
                 "DataParallel's: the primary card's part of the batch")
      ->delimiter(',');
}

void bind_ddp(CLI::App& app, Sweep& sweep) {
  app.add_option(
         "--reducer", sweep.reducers,
         "DDP's: naive, flat, bucketed, c10d, local-sgd or diloco; a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--backend", sweep.backends,
                 "DDP's and Horovod's: auto, gloo, nccl, shm or hier; a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--bucket-cap-mb", sweep.bucket_caps_mb,
                 "DDP's, MiB; a list sweeps: not those reducers that have no buckets")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--comm-hook", sweep.comm_hooks,
                 "what DDP sends for a bucket: allreduce, fp16, bf16 or powersgd; a "
                 "list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--powersgd-rank", sweep.powersgd_rank,
                 "of the matrices that stand for a gradient")
      ->capture_default_str();
  app.add_option("--overlap", sweep.overlap,
                 "whether DDP sends buckets while backward goes on: yes or no; a list "
                 "sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--local-sgd", sweep.local_sgd,
                 "optimizer steps between two meetings, of --reducer local-sgd or "
                 "diloco");
  app.add_flag("--shard-optimizer", sweep.shard_optimizer,
               "also DDP with the optimizer's work shared out over the ranks");
  app.add_option("--link", sweep.links,
                 "DDP's and Horovod's cards as hosts of their own, emulated, with "
                 "cables of this rate between them: 100mbit, 1gbit, or none; a list "
                 "sweeps; needs root")
      ->delimiter(',');
  app.add_option("--ranks-per-host", sweep.ranks_per_host,
                 "cards of such a host, of one --link")
      ->capture_default_str();
}

void bind_horovod(CLI::App& app, Sweep& sweep) {
  app.add_option("--fusion-threshold-mb", sweep.fusion_thresholds_mb,
                 "Horovod's, MiB that are fused at most; 0: nothing is; a list sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--cycle-time-ms", sweep.cycle_times_ms,
                 "Horovod's, from one decision of its coordinator to the next; a list "
                 "sweeps")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--fp16-allreduce", sweep.fp16_allreduce,
                 "whether Horovod's gradients travel as 16-bit numbers: yes or no; a "
                 "list sweeps")
      ->delimiter(',')
      ->capture_default_str();
}

}  // namespace

void bind(CLI::App& app, BenchLine& line) {
  Sweep& sweep = line.sweep;
  bind_cases(app, sweep);
  bind_data_parallel(app, sweep);
  bind_ddp(app, sweep);
  bind_horovod(app, sweep);
  app.add_option(
         "--peers", sweep.peers,
         "measured beside ours: c10d (LibTorch's own reducer over gloo), python (the "
         "plain loop, DistributedDataParallel, and on CUDA nn.DataParallel), "
         "python-compile (the plain loop under torch.compile), bound (so many single "
         "cards at once; there with any peer on the CPU), and on CUDA libtorch (its "
         "data_parallel)")
      ->delimiter(',');
  app.add_option("--ranks-per-gpu", sweep.ranks_per_gpu,
                 "DDP's and Horovod's ranks that may share a CUDA card, of one each")
      ->capture_default_str();
  app.add_flag("--memory-timeline", sweep.memory_timeline,
               "one more run of each case of ours: its cards' memory over a step");
  app.add_flag("--step-lanes", line.step_lanes,
               "one more run of each case of ours: a step's stages and collectives of "
               "every card, in time");
  app.add_flag("--bucket-times", line.bucket_times,
               "one more run of each case of DDP with buckets: when each was ready, "
               "launched and finished, a file a case for `buckets`");
  app.add_flag("--predict-memory", line.predict_memory,
               "each card's peak as told from one card at two small batches, beside "
               "what is measured");
  app.add_flag("--predict", line.predict,
               "the step of each case as told from one card and the links, beside what "
               "is measured");
  app.add_option("--fits", line.fits_gib,
                 "instead of timing: the largest local batch of each case in cards of "
                 "so many GiB, predicted and confirmed by runs");
  app.add_option("--compare", line.compare,
                 "an older run's folder: each case over its single card, then and now; "
                 "exit status 3 where one is slower");
  app.add_option("--tolerance", line.tolerance, "what --compare lets pass: 0.05 is 5 %")
      ->capture_default_str();
  app.add_flag("--quick", line.quick,
               "a short trial: mlp, 10 steps, once; what is given stays as given");
  app.add_flag("--dry-run", line.dry_run,
               "prints the cases and their commands, and runs none of them");
  app.add_option("--lr", sweep.lr, "learning rate")->capture_default_str();
  app.add_flag("!--no-page", line.page,
               "draw no page and no charts: `report` can, later and elsewhere");
  app.add_option("--seed", sweep.seed, "of parameters and order")
      ->capture_default_str();
  app.add_option("--out", sweep.out, "folder for the results")->capture_default_str();
}

}  // namespace lockstep::bench
