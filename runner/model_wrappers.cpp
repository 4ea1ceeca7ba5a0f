#include "runner/model_wrappers.h"

#include <algorithm>

#include "data_parallel/reduce.h"
#include "data_parallel/train.h"
#include "ddp/reducers.h"
#include "ddp/train.h"
#include "hooks/comm_hooks.h"
#include "horovod/distributed_optimizer.h"
#include "horovod/train.h"
#include "single_gpu/train.h"
#include "training/catalog.h"

namespace lockstep::runner {

using config::Section;
using program::Ranks;
using training::TrainOptions;
namespace {

Way data_parallel(const Section& config, TrainOptions& options) {
  training::DataParallelOptions& dp = options.data_parallel;
  for (const int64_t id : config.integers("device_ids", 0, 63)) {
    if (std::count(dp.device_ids.begin(), dp.device_ids.end(), id) > 0) {
      config.fail("device_ids", "names card " + std::to_string(id) +
                                    " twice; a card holds one replica");
    }
    dp.device_ids.push_back(static_cast<int>(id));
  }
  options.gpus = std::max<int>(1, static_cast<int>(dp.device_ids.size()));
  dp.output_device = static_cast<int>(config.integer("output_device", -1, 0, 63));
  const std::vector<int> ids = dp.device_ids.empty() ? std::vector{0} : dp.device_ids;
  if (config.has("output_device") &&
      std::count(ids.begin(), ids.end(), dp.output_device) == 0) {
    config.fail("output_device", std::to_string(dp.output_device) +
                                     " is none of the cards of device_ids");
  }
  dp.reduce = config.word("reduce", dp.reduce, dp.reduce_words());
  dp.replicate = config.word("replicate", dp.replicate, dp.replicate_words());
  data_parallel::resolve_reduction(dp.reduce,
                                   training::make_cards(options, options.gpus).front());
  return {&data_parallel::train, Ranks::one_process};
}

Way horovod(const Section& config, TrainOptions& options) {
  training::HorovodOptions& hvd = options.horovod;
  hvd.op = config.word("op", hvd.op, {"average", "sum"});
  hvd.fp16_allreduce = config.boolean("fp16_allreduce", false);
  if (options.optimizer != "SGD") {
    config.fail("type", "sends the state of SGD alone; take it, or another wrapper");
  }
  horovod::check_options(options);
  return {&horovod::train, Ranks::horovod};
}

}  // namespace

Way distributed_data_parallel(const Section& config, TrainOptions& options) {
  constexpr double kMostMib = 1e6;
  training::DdpOptions& ddp = options.ddp;
  ddp.find_unused_parameters =
      config.boolean("find_unused_parameters", ddp.find_unused_parameters);
  ddp.static_graph = config.boolean("static_graph", ddp.static_graph);
  ddp.broadcast_buffers = config.boolean("broadcast_buffers", ddp.broadcast_buffers);
  ddp.gradient_as_bucket_view =
      config.boolean("gradient_as_bucket_view", ddp.gradient_as_bucket_view);
  ddp.bucket_cap_mb = config.number("bucket_cap_mb", ddp.bucket_cap_mb, 0, kMostMib);
  // Those that take another key beside their name are `ddp`'s alone.
  std::vector<std::string> reducers = ddp::reducers().names();
  std::erase_if(reducers, [](const std::string& name) {
    training::DdpOptions averaging;
    averaging.reducer = name;
    return ddp::averages(averaging);
  });
  ddp.reducer = config.word("reducer", ddp.reducer, reducers);
  ddp.comm_hook = config.word("comm_hook", ddp.comm_hook, hooks::comm_hooks().names());
  ddp::check_reducer(options);
  return {&ddp::train, Ranks::one_a_card};
}

Way unwrapped() { return {&single_gpu::train, Ranks::one}; }

Registry<WrapperFactory>& model_wrappers() {
  static Registry<WrapperFactory> known(
      "model wrapper", {{"MMDistributedDataParallel", &distributed_data_parallel},
                        {"DistributedDataParallel", &distributed_data_parallel},
                        {"DataParallel", &data_parallel},
                        {"Horovod", &horovod}});
  return known;
}

}  // namespace lockstep::runner
