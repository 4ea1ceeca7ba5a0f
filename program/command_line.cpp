#include "program/command_line.h"

#include <algorithm>
#include <stdexcept>

#include "program/rank_options.h"

namespace lockstep::program {

using namespace training;
namespace {

void bind_shared(CLI::App& app, Ranks ranks, TrainOptions& options) {
  app.add_option("--model", options.model,
                 "linear, mlp, mlp-wide, convnet, convnet-plain, resnet18, resnet50, "
                 "transformer or transformer-tied")
      ->capture_default_str();
  app.add_option("--dataset", options.dataset,
                 "fashion-mnist, mnist, cifar10, synthetic, features100 or tokens; not "
                 "given: what suits the model");
  app.add_option("--data-dir", options.data_dir,
                 "folder of the data set's files; of tokens a text file");
  app.add_option("--vocab-size", options.vocab_size,
                 "tokens that there are, for a transformer")
      ->capture_default_str();
  app.add_option("--epochs", options.epochs, "passes over the data set")
      ->capture_default_str();
  app.add_option("--steps", options.steps, "stop after so many optimizer steps");
  app.add_option("--batch-size", options.batch_size,
                 "samples a card and step: the local batch")
      ->capture_default_str();
  app.add_option("--lr", options.lr, "learning rate of SGD")->capture_default_str();
  app.add_option("--momentum", options.momentum, "of SGD")->capture_default_str();
  app.add_option("--weight-decay", options.weight_decay, "of SGD")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of parameters and of the samples' order")
      ->capture_default_str();
  app.add_option("--device", options.device, "cpu (cards are emulated), cuda or auto")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option(
         ranks == Ranks::many_machines ? "--gpus,-g,--nproc-per-node" : "--gpus,-g",
         options.gpus, "cards on this machine")
      ->capture_default_str();
  app.add_option("--threads-per-card", options.threads_per_card,
                 "threads of an emulated card; 0: cores / cards")
      ->capture_default_str();
  app.add_option("--card-memory", options.card_memory_gib,
                 "GiB that a card holds at most; 0: as much as there is")
      ->capture_default_str();
  app.add_option("--precision", options.precision,
                 "fp32, fp64, tf32 (on CUDA) or bf16 (the forward pass)")
      ->check(CLI::IsMember(TrainOptions::precision_words()))
      ->capture_default_str();
  app.add_flag("--channels-last", options.channels_last,
               "images and weights of convolutions with their channels innermost");
  app.add_flag("--cudnn-benchmark", options.cudnn_benchmark,
               "convolutions on CUDA cards take whichever way is quickest");
  app.add_flag("--deterministic", options.deterministic,
               "the same numbers in every run, or an error");
  app.add_flag("--cuda-graph", options.cuda_graph,
               "record a step as a CUDA graph and replay it, where that can be");
  app.add_option("--num-workers", options.num_workers,
                 "threads that prepare batches ahead")
      ->capture_default_str();
  app.add_flag("--pin-memory", options.pin_memory,
               "prepare batches in page-locked memory, for CUDA cards");
  app.add_flag("--drop-last", options.drop_last,
               "leave out the last, incomplete batch");
  app.add_flag("--eval", options.eval, "accuracy on the test set at the end");
  app.add_flag("--memory-timeline", options.memory_timeline,
               "the cards' memory over the last step, into the report file");
  checkpoint::bind(app, options.checkpoint);
}

void bind_single(CLI::App& app, TrainOptions& options) {
  bind_accumulate(app, options);
  app.add_option(
      "--sampler", options.sampler,
      "random, distributed, or ranks-in-turn (as --accumulate ranks would take it)");
}

void bind_data_parallel(CLI::App& app, TrainOptions& options) {
  DataParallelOptions& dp = options.data_parallel;
  app.add_option("--device-ids", dp.device_ids,
                 "cards to compute on, the primary card first; 0,1,.. if not given")
      ->delimiter(',')
      ->check(CLI::Range(0, 63));
  app.add_option(
         "--output-device", dp.output_device,
         "card that gathers the outputs and computes the loss; the primary card "
         "if not given")
      ->check(CLI::Range(0, 63));
  app.add_option("--dp-reduce", dp.reduce,
                 "how gradients come to the primary card: serial (one card after the "
                 "other, as LibTorch adds), tree, nccl or auto")
      ->check(CLI::IsMember(DataParallelOptions::reduce_words()))
      ->capture_default_str();
  app.add_option("--replicate", dp.replicate,
                 "cached (copies of the model are kept and refreshed) or every-step "
                 "(made anew, as PyTorch does)")
      ->check(CLI::IsMember(DataParallelOptions::replicate_words()))
      ->capture_default_str();
  app.add_option(
         "--dp-steps", dp.steps,
         "lockstep, or libtorch: torch::nn::parallel::data_parallel, on CUDA cards")
      ->check(CLI::IsMember({"lockstep", "libtorch"}))
      ->capture_default_str();
  app.add_option(
         "--dp-loss", dp.loss,
         "primary (computed from the gathered logits) or replica (on each card)")
      ->check(CLI::IsMember(DataParallelOptions::loss_words()))
      ->capture_default_str();
  app.add_option("--primary-share", dp.primary_share,
                 "the primary card's part of the batch; 1: as much as the others")
      ->capture_default_str();
}

// So many ids, so many cards.
void take_device_ids(TrainOptions& options, bool gpus_given) {
  std::vector<int> ids = options.data_parallel.device_ids;
  if (ids.empty()) return;
  const int cards = static_cast<int>(ids.size());
  if (gpus_given && options.gpus != cards) {
    throw std::invalid_argument("--gpus " + std::to_string(options.gpus) + " and " +
                                std::to_string(cards) +
                                " --device-ids; leave one of them out");
  }
  options.gpus = cards;
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end()) {
    throw std::invalid_argument("--device-ids names card " + std::to_string(*twice) +
                                " twice; a card holds one replica");
  }
}

// What would do nothing was a mistake, and nobody would see it.
void refuse_idle(const CLI::App& app, const TrainOptions& options) {
  if (app.count("--vocab-size") > 0 && !takes_tokens(options.model, options.dataset)) {
    throw std::invalid_argument("--vocab-size is of tokens, and --model " +
                                options.model + " on --dataset " + options.dataset +
                                " has none; leave it out, or try --model transformer");
  }
  if (options.ddp.sync_batch_norm && !has_batch_norm(options.model)) {
    throw std::invalid_argument(
        "--sync-batch-norm is of models with batch norm, and "
        "--model " +
        options.model + " has none; leave it out, or try --model convnet");
  }
  const auto refuse_to_join = [&](bool asked, const std::string& option,
                                  const std::string& why) {
    if (!options.ddp.join || !asked) return;
    throw std::invalid_argument("--join and " + option + ": " + why +
                                "; leave one of them out");
  };
  refuse_to_join(options.drop_last, "--drop-last",
                 "the one takes every sample, the other leaves some out");
  refuse_to_join(options.accumulate > 1, "--accumulate",
                 "a batch that a rank does not have would count in its mean");
  for (const char* option : {"--powersgd-rank", "--powersgd-start"}) {
    const CLI::Option* given = app.get_option_no_throw(option);
    if (given == nullptr || given->count() == 0) continue;
    if (options.ddp.comm_hook == "powersgd") continue;
    throw std::invalid_argument(
        std::string(option) + " is of PowerSGD, and --comm-hook is " +
        options.ddp.comm_hook + "; leave it out, or try --comm-hook powersgd");
  }
  if (options.data_parallel.primary_share != 1 && options.gpus == 1) {
    throw std::invalid_argument(
        "--primary-share is beside the other cards' share, and there is one card; "
        "leave it out, or try --gpus 2");
  }
}

}  // namespace

std::vector<std::string> normalised(std::vector<std::string> arguments) {
  for (std::string& argument : arguments) {
    if (argument == "-nr") argument = "--node-rank";
    if (argument.rfind("--", 0) != 0) continue;
    const size_t name_end = std::min(argument.find('='), argument.size());
    std::replace(argument.begin(),
                 argument.begin() + static_cast<std::ptrdiff_t>(name_end), '_', '-');
  }
  return arguments;
}

int64_t local_batch(int64_t global_batch, int64_t cards) {
  if (global_batch < 1 || global_batch % cards != 0) {
    throw std::invalid_argument(
        "--global-batch-size " + std::to_string(global_batch) + " does not divide by " +
        std::to_string(cards) + " cards; try " +
        std::to_string(cards * std::max<int64_t>(1, global_batch / cards)));
  }
  return global_batch / cards;
}

bool parse(CLI::App& app, const std::vector<std::string>& arguments,
           CommandLine& line) {
  app.add_option("--metrics-file", line.metrics_file,
                 "JSON lines, one a step, written at the end");
  app.add_option("--report-file", line.report_file,
                 "everything measured, as one JSON object");
  app.add_option("--trace", line.trace_file,
                 "a Chrome trace of three steps; of each rank one");
  app.add_flag("--quiet,-q", line.quiet, "no progress and no summary");
  app.add_flag("--dry-run", line.dry_run,
               "look at options, data and model; train nothing");
  std::vector<std::string> reversed = normalised(arguments);
  std::reverse(reversed.begin(), reversed.end());  // as CLI11 wants a vector
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return false;
  }
  return true;
}

CommandLine parse_command_line(const std::string& program,
                               const std::string& description, Ranks ranks,
                               const std::vector<std::string>& arguments) {
  CommandLine line;
  CLI::App app(description, program);
  bind_shared(app, ranks, line.options);
  app.add_option("--global-batch-size", line.global_batch_size,
                 "samples a step over all cards, instead of --batch-size");
  if (ranks == Ranks::one) bind_single(app, line.options);
  if (ranks == Ranks::one_process) bind_data_parallel(app, line.options);
  if (has_ranks(ranks)) bind_ranks(app, line);
  if (ranks == Ranks::horovod) {
    bind_horovod(app, line.options);
  } else if (has_ranks(ranks)) {
    bind_ddp(app, line.options);
  }
  if (ranks == Ranks::many_machines) bind_machines(app, line);
  if (!parse(app, arguments, line)) return line;

  TrainOptions& options = line.options;
  if (app.count("--steps") > 0 && app.count("--epochs") == 0) {
    options.epochs = std::numeric_limits<int64_t>::max();
  }
  if (options.ddp.local_sgd > 0 && app.count("--reducer") == 0) {
    options.ddp.reducer = "local-sgd";
  }
  take_device_ids(options, app.count("--gpus") > 0);
  if (app.count("--dataset") == 0) options.dataset = usual_dataset(options.model);
  validate(options);
  checkpoint::validate(options.checkpoint);
  refuse_idle(app, options);
  if (options.memory_timeline && line.report_file.empty()) {
    throw std::invalid_argument(
        "--memory-timeline goes into the report file; give --report-file as well");
  }
  if (ranks == Ranks::one && options.gpus != 1) {
    throw std::invalid_argument("--gpus " + std::to_string(options.gpus) + ": " +
                                program +
                                " trains on one card; try data_parallel or ddp");
  }
  line.place.ranks_per_node = options.local_cards();
  if (app.count("--global-batch-size") > 0) {
    const int64_t cards =
        int64_t{options.local_cards()} * std::max(1, line.place.nodes);
    options.batch_size = local_batch(line.global_batch_size, cards);
  }
  return line;
}

}  // namespace lockstep::program
