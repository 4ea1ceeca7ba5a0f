// Everything a run can be told, as the programs' command lines tell it
// (command_line.h). One plain struct for all loops: a loop reads what concerns it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/options.h"
#include "config/section.h"
#include "data/sampler.h"

namespace lockstep::training {

class StepObserver;

struct DdpOptions {
  // How gradients are brought together: "naive", "flat", "bucketed" or "c10d"; or, of
  // replicas that part for --local-sgd steps, parameters: "local-sgd" or "diloco".
  std::string reducer = "bucketed";

  // Buckets of the bucketed reducer, in MiB. 0: one bucket a parameter. The first
  // bucket is smaller, so that communication starts early.
  double bucket_cap_mb = 25;
  double first_bucket_cap_mb = 1;

  // For a loss that does not depend on all parameters: looks at the graph of each
  // forward pass.
  bool find_unused_parameters = false;
  // The graph is the same in every step: the first one shows what is used, and how
  // often.
  bool static_graph = false;
  // Gradients lie in the buckets; else they are copied in and back out.
  bool gradient_as_bucket_view = true;

  // Each rank steps its share of the parameters, and holds its share of the optimizer's
  // state.
  bool shard_optimizer = false;

  // Rank 0's buffers (batch norm's running statistics) go to all ranks before each
  // forward.
  bool broadcast_buffers = true;

  // A complete bucket is sent while backward goes on; else all are when it is over.
  bool overlap = true;

  // What the bucketed reducer sends for a bucket (hooks/): "allreduce", its gradients;
  // "fp16" or "bf16", the same rounded; "powersgd", a product of matrices of this rank,
  // from this step on.
  std::string comm_hook = "allreduce";
  int64_t powersgd_rank = 1;
  int64_t powersgd_start = 10;

  // Optimizer steps between two meetings of the reducers "local-sgd" and "diloco"
  // (averaging/); 0: of neither. DiLoCo's own step is SGD with Nesterov's momentum.
  int64_t local_sgd = 0;
  double outer_lr = 0.7;
  double outer_momentum = 0.9;

  // Batch norm's statistics are of the global batch.
  bool sync_batch_norm = false;

  // No sample is taken twice: ranks whose samples end before the others' take part
  // without any (data/sampler.h, UnevenSampler).
  bool join = false;

  // When each bucket was ready, launched and finished, into this file (timing/). Empty:
  // nobody looks.
  std::string bucket_times_file;
};

// Of the program `horovod`, under the names that horovodrun and Horovod's examples
// have. What is not given is as Horovod's variables say (negotiation/settings.h).
struct HorovodOptions {
  std::optional<double> fusion_threshold_mb;  // MiB
  std::optional<double> cycle_time_ms;
  std::optional<int64_t> cache_capacity;
  std::string timeline_filename;
  bool timeline_mark_cycles = false;
  bool no_stall_check = false;
  std::optional<double> stall_warning_s;
  std::optional<double> stall_shutdown_s;

  // Gradients travel as 16-bit numbers.
  bool fp16_allreduce = false;
  // What becomes of the ranks' gradients: "average" or "sum".
  std::string op = "average";
};

struct DataParallelOptions {
  // The cards to compute on, the primary card first, and the one where outputs are
  // gathered and the loss is computed; empty and -1: 0 .. gpus-1, and the primary card.
  std::vector<int> device_ids;
  int output_device = -1;

  // How gradients come to the primary card: "serial", "tree", "nccl" (between CUDA
  // devices) or "auto".
  std::string reduce = "auto";
  // "cached": copies of the model are kept and refreshed; "every-step": they are made
  // anew, as PyTorch does.
  std::string replicate = "cached";
  // Where the loss is computed: "primary", from the gathered logits, or "replica".
  std::string loss = "primary";
  // The primary card's part of the batch, relative to an equal share.
  double primary_share = 1;

  // Who does all this: "lockstep", or "libtorch": its own function, on CUDA.
  std::string steps = "lockstep";

  // The words that these take.
  static const std::vector<std::string>& reduce_words();
  static const std::vector<std::string>& replicate_words();
  static const std::vector<std::string>& loss_words();
};

// What becomes of gradients before a step, as by torch.nn.utils.clip_grad_norm_ and
// clip_grad_value_; 0: nothing.
struct Clip {
  double norm = 0;  // all of them together are no longer than this
  double norm_type = 2;
  double value = 0;  // no entry is larger than this
};

struct TrainOptions {
  std::string model = "mlp";
  // What it takes beside the data's shape; of the models here none takes anything.
  config::Section model_arguments;
  std::string dataset = "fashion-mnist";
  // Where the data set's files are; empty: where its Debian package puts them. Of
  // tokens a text file; empty: made-up ones.
  std::string data_dir;
  // The tokens that there are, of a data set of tokens and of a transformer.
  int64_t vocab_size = 50257;

  // Passes over the data set, and optimizer steps: whichever ends first ends the run.
  int64_t epochs = 1;
  int64_t steps = std::numeric_limits<int64_t>::max();

  // Samples a card and step, in every loop.
  int64_t batch_size = 64;

  // By its name; what it takes beside these three, and what becomes of gradients first.
  std::string optimizer = "SGD";
  config::Section optimizer_arguments;
  Clip clip;
  double lr = 0.01;
  double momentum = 0;
  double weight_decay = 0;
  uint64_t seed = 0;

  // "cpu", "cuda" or "auto". On the CPU cards are emulated; threads_per_card 0 means
  // cores / cards, at least 1.
  std::string device = "auto";
  int gpus = 1;
  int threads_per_card = 0;
  // Ranks that share each CUDA device, under DDP: `gpus` counts the devices.
  int ranks_per_gpu = 1;
  bool own_device = false;  // a rank's cards are all one device: World's
  // A card holds no more, in GiB; 0: as much as there is.
  double card_memory_gib = 0;
  int local_cards() const { return gpus * ranks_per_gpu; }  // of this machine

  // "fp32" or "fp64", of parameters, gradients and images alike; "bf16": fp32 ones, and
  // the forward pass computes in bfloat16 where autocast has it so (autocast.h);
  // "tf32": fp32 ones, whose products CUDA cards round to 10 bits of mantissa.
  std::string precision = "fp32";
  static const std::vector<std::string>& precision_words();

  // Images and the weights of convolutions lie with their channels innermost.
  bool channels_last = false;

  // Convolutions on CUDA cards try cuDNN's ways first and take the quickest: not always
  // the same, to the last digit. As torch.backends.cudnn.benchmark.
  bool cudnn_benchmark = false;
  // The same numbers in every run; what LibTorch has no such way for throws c10::Error.
  // As torch.use_deterministic_algorithms.
  bool deterministic = false;

  // A step is recorded as a CUDA graph and then replayed, where it can be
  // (train_step.h).
  bool cuda_graph = false;

  // Threads that prepare batches ahead of the loop. 0: the loop's own thread.
  int num_workers = 0;
  // Batches lie in page-locked memory, from which copies to a CUDA card need not wait.
  bool pin_memory = false;
  // Leaves out the last, incomplete batch; in DDP also the samples that do not divide.
  bool drop_last = false;
  // The sampler's name; empty: the loop's own ("random", in DDP "distributed").
  std::string sampler;
  data::Order order = data::Order::anew;

  // Local batches whose gradients are averaged before one optimizer step.
  int64_t accumulate = 1;

  // Accuracy on the test set at the end.
  bool eval = false;

  // Every card's memory over the last step planned, into the report.
  bool memory_timeline = false;

  DataParallelOptions data_parallel;
  DdpOptions ddp;
  HorovodOptions horovod;
  // "auto", "gloo", "nccl", "shm", or "hier": shm inside a host, another between hosts.
  std::string backend = "auto";
  // "detail": before each collective all ranks show that it is the same one
  // (fingerprint/). As in TORCH_DISTRIBUTED_DEBUG, which goes where this is "off".
  std::string debug = "off";
  // A rank that waits longer for another, at the start or in a collective, gives up.
  // PyTorch's stores wait as long.
  int64_t timeout_s = 300;
  // Says who of the other ranks is lost, and ends the process, where this rank hangs
  // and cannot say so itself. Called on another thread. Empty: it hangs on.
  std::function<void(const std::string& verdict)> last_words;

  // What is kept of the run on disk; and where it begins, if not at the beginning.
  checkpoint::CheckpointOptions checkpoint;
  checkpoint::Start start;

  // Called around every local batch and after every step, in this order.
  std::vector<std::shared_ptr<StepObserver>> observers;
};

// The data set that a model is for, where the user names none.
std::string usual_dataset(const std::string& model);
// "images of 28 x 28", "tokens", of the data sets here; of any other nothing.
std::string samples_of(const std::string& dataset);
// Whether they are of tokens: else a vocabulary's size says nothing.
bool takes_tokens(const std::string& model, const std::string& dataset);
// Whether the precision is one that gives losses of its own.
bool rounds(const std::string& precision);
// Whether a sample's loss depends on the others of its card's part of the batch.
bool has_batch_norm(const std::string& model);

// Throws std::invalid_argument naming the first option whose value cannot be.
void validate(const TrainOptions& options);

}  // namespace lockstep::training

namespace lockstep {
using training::TrainOptions;
}
