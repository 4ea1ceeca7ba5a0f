// Configurations that are wrong, and in which words `train` refuses them: one line with
// the file, the line and the key, and where a name is wrong the nearest one, before
// anything is written.
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "runner/plugins.h"
#include "runner/runner.h"
#include "tests/config_files.h"
#include "tests/program_run.h"
#include "training/catalog.h"

namespace lockstep::runner {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// good.toml. A row tells what is changed in it, and the file is called broken.toml then.
constexpr char kGood[] = R"(work_dir = "work"
model = { type = "mlp" }
train_dataloader = { batch_size = 32, dataset = { type = "synthetic" } }
val_dataloader = { batch_size = 16, dataset = { type = "synthetic" } }
val_cfg = {}
val_evaluator = [{ type = "Accuracy" }]
train_cfg = { by_epoch = true, max_epochs = 4 }
optim_wrapper = { optimizer = { type = "SGD", lr = 0.1 } }
param_scheduler = [{ type = "StepLR", step_size = 2 }]
custom_hooks = [{ type = "EarlyStoppingHook", monitor = "accuracy" }]
env_cfg = { device = "cpu" }
)";
constexpr bool kLaunched = true;

struct Broken {
  std::string text;
  Words changes;
  std::string line;
  bool launched = false;  // as a launcher's one rank
};

Broken edited(const std::string& from, const std::string& to, const std::string& line,
              bool launched = false) {
  std::string text = kGood;
  const size_t at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("good.toml has no " + from);
  text.replace(at, from.size(), to);
  return {text, {}, line, launched};
}

Broken added(const std::string& to, const std::string& line, bool launched = false) {
  return {kGood + to + "\n", {}, line, launched};
}

// By the command line.
Broken changed(const Words& changes, const std::string& line, bool launched = false) {
  return {kGood, changes, line, launched};
}

std::vector<Broken> broken() {
  return {
    // The whole.
    added("= 3", "?"),
    added("work_dir = \"other\"", "?"),
    added("modl = { type = \"mlp\" }", "?"),
    added("wrapper = {}", "?"),
    added("visualizer = { type = \"Visualizer\" }", "?"),
    changed({"epochs=3"}, "?"),
    changed({"lr"}, "?"),
    changed({"optim_wrapper.optimzer.lr=0.1"}, "?"),
    changed({"optim_wrapper.optimizer.lr.x=1"}, "?"),
    changed({"param_scheduler.3.gamma=1"}, "?"),
    changed({"val_evaluator.first.type=Loss"}, "?"),
    changed({"_base_=other.toml"}, "?"),
    changed({"train_cfg={max_epochs=1"}, "?"),
    // Bases.
    added("_base_ = \"nowhere.toml\"", "?"),
    added("_base_ = \"broken.toml\"", "?"),
    added("_base_ = \"round.toml\"", "?"),
    added("_base_ = 3", "?"),
    added("_base_ = [\"good.toml\", \".\"]", "?"),
    added("_base_ = \"wrong.toml\"", "?"),
    // Plug-ins and scopes.
    added("custom_imports = \"libnowhere.so\"", "?"),
    added("custom_imports = \"libm.so.6\"", "?"),
    added("custom_imports = \"good.toml\"", "?"),
    added("custom_imports = [\"\"]", "?"),
    added("custom_imports = { imports = [\"mine\"] }", "?"),
    added("custom_imports = [3]", "?"),
    added("default_scope = \"mmengine\"", "?"),
    added("default_scope = 1", "?"),
    changed({"default_scope=lockstpe"}, "?"),
    // Who, where, from what.
    edited("\"work\"", "3", "?"),
    edited("\"work\"", "\"\"", "?"),
    edited("\"work\"", "\"good.toml\"", "?"),
    edited("\"work\"", "\"good.toml/work\"", "?"),
    changed({"work_dir=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}, "?"),
    added("resume = \"yes\"", "?"),
    added("resume = true\nload_from = \"weights.safetensors\"", "?"),
    added("load_from = \"nowhere.safetensors\"", "?"),
    added("load_from = \".\"", "?"),
    added("load_from = 3", "?"),
    changed({"load_from=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}, "?"),
    added("launcher = \"torchrun\"", "?"),
    added("launcher = 4", "?"),
    added("randomness = 3", "?"),
    added("randomness = { seed = -1 }", "?"),
    added("randomness = { seed = 0.5 }", "?"),
    added("randomness = { sed = 1 }", "?"),
    added("randomness = { seed = 99999999999999999999 }", "?"),
    // The environment.
    edited("env_cfg = { device = \"cpu\" }", "env_cfg = \"cpu\"", "?"),
    edited("\"cpu\"", "\"cuad\"", "?"),
    edited("\"cpu\"", "0", "?"),
    changed({"env_cfg.precision=bf16"}, "?"),
    changed({"env_cfg.precision=fp65"}, "?"),
    changed({"env_cfg.threads_per_card=-1"}, "?"),
    changed({"env_cfg.threads_per_card=1.5"}, "?"),
    changed({"env_cfg.threads=1"}, "?"),
    changed({"env_cfg.cudnn_benchmark=true"}, "?"),
    changed({"env_cfg.dist_cfg=gloo"}, "?"),
    changed({"env_cfg.dist_cfg.backend=nccl"}, "?"),
    changed({"env_cfg.dist_cfg.backend=nccl"}, "?", kLaunched),
    changed({"env_cfg.dist_cfg.backend=hier"}, "?", kLaunched),
    changed({"env_cfg.dist_cfg.backend=goo"}, "?"),
    changed({"env_cfg.dist_cfg.timeout=0"}, "?"),
    changed({"env_cfg.dist_cfg.timeout=5m"}, "?"),
    changed({"env_cfg.dist_cfg.time_out=5"}, "?"),
    // The model.
    edited("model = { type = \"mlp\" }", "", "?"),
    edited("model = { type = \"mlp\" }", "model = \"mlp\"", "?"),
    edited("{ type = \"mlp\" }", "{}", "?"),
    edited("{ type = \"mlp\" }", "[{ type = \"mlp\" }]", "?"),
    edited("\"mlp\"", "\"mpl\"", "?"),
    edited("\"mlp\"", "\"ResNet\"", "?"),
    edited("\"mlp\"", "18", "?"),
    edited("\"mlp\"", "\"lockstep.mpl\"", "?"),
    edited("\"mlp\"", "\"\"", "?"),
    edited("\"mlp\"", "\"mlp\", depth = 3", "?"),
    edited("\"mlp\"", "\"test.tiny\", widht = 3", "?"),
    edited("\"mlp\"", "\"test.tiny\", width = 0", "?"),
    edited("\"mlp\"", "\"test.tiny\", width = \"wide\"", "?"),
    changed({"model.vocab_size=3"}, "?"),
    edited("\"mlp\"", "\"transformer\", vocab_size = 1", "?"),
    edited("\"mlp\"", "\"transformer\"", "?"),
    edited("\"mlp\"", "\"linear\"", "?"),
    // The loaders.
    edited("train_dataloader = { batch_size = 32, dataset = { type = \"synthetic\" } }", "train_dataloader = 32", "?"),
    edited("32", "0", "?"),
    edited("32", "-4", "?"),
    edited("32", "\"32\"", "?"),
    edited("32", "32.0", "?"),
    edited("32", "true", "?"),
    edited("batch_size = 32", "batchsize = 32", "?"),
    edited("32, dataset = { type = \"synthetic\" }", "32, dataset = \"synthetic\"", "?"),
    edited("32, dataset = { type = \"synthetic\" }", "32, dataset = { type = \"syntetic\" }", "?"),
    edited("32, dataset = { type = \"synthetic\" }", "32, dataset = { type = \"fashion-mnist\", data_dir = \"nowhere\" }", "?"),
    edited("32, dataset = { type = \"synthetic\" }", "32, dataset = { type = \"mnist\", data_dir = \".\" }", "?"),
    edited("32, dataset = { type = \"synthetic\" }", "32, dataset = { type = \"cifar10\", data_dir = \".\" }", "?"),
    edited("32, dataset = { type = \"synthetic\" }", "32, dataset = { type = \"synthetic\", data_root = \".\" }", "?"),
    edited("32, dataset = { type = \"synthetic\" }", "32, dataset = { type = \"synthetic\", data_dir = 3 }", "?"),
    edited("model = { type = \"mlp\" }\ntrain_dataloader = { batch_size = 32, dataset = { type = \"synthetic\" } }", "model = { type = \"transformer\" }\ntrain_dataloader = { batch_size = 32, dataset = { data_dir = \"nowhere.txt\" } }", "?"),
    changed({"train_dataloader.num_workers=-1"}, "?"),
    changed({"train_dataloader.num_workers=100"}, "?"),
    changed({"train_dataloader.num_worker=1"}, "?"),
    changed({"train_dataloader.pin_memory=1"}, "?"),
    changed({"train_dataloader.pin_memory=true"}, "?"),
    changed({"train_dataloader.drop_last=no"}, "?"),
    changed({"train_dataloader.sampler=DefaultSampler"}, "?"),
    changed({"train_dataloader.sampler.type=InfiniteSampler"}, "?"),
    changed({"train_dataloader.sampler.type=DefaultSampler2"}, "?"),
    changed({"train_dataloader.sampler.shuffle=yes"}, "?"),
    changed({"train_dataloader.sampler.shufle=true"}, "?"),
    // Validation.
    edited("val_cfg = {}", "", "?"),
    edited("val_cfg = {}", "val_cfg = true", "?"),
    edited("val_cfg = {}", "val_cfg = { type = \"TestLoop\" }", "?"),
    edited("val_cfg = {}", "val_cfg = { interval = 2 }", "?"),
    edited("val_evaluator = [{ type = \"Accuracy\" }]", "", "?"),
    edited("val_dataloader = { batch_size = 16, dataset = { type = \"synthetic\" } }\nval_cfg = {}\n", "", "?"),
    edited("16, dataset = { type = \"synthetic\" }", "0", "?"),
    edited("16, dataset = { type = \"synthetic\" }", "16, dataset = { type = \"tokens\" }", "?"),
    edited("16, dataset = { type = \"synthetic\" }", "16, dataset = { type = \"cifar10\" }", "?"),
    edited("16, dataset = { type = \"synthetic\" }", "16, dataset = { type = \"mnist\", data_dir = \"nowhere\" }", "?"),
    edited("16,", "16, shuffle = true,", "?"),
    edited("[{ type = \"Accuracy\" }]", "\"Accuracy\"", "?"),
    edited("[{ type = \"Accuracy\" }]", "[]", "?"),
    edited("[{ type = \"Accuracy\" }]", "[{}]", "?"),
    edited("\"Accuracy\"", "\"accuracy\"", "?"),
    edited("\"Accuracy\"", "\"TopK\"", "?"),
    edited("\"Accuracy\"", "\"Accuracy\", topk = 0", "?"),
    edited("\"Accuracy\"", "\"Accuracy\", topk = [1, \"five\"]", "?"),
    edited("\"Accuracy\"", "\"Accuracy\", top_k = 5", "?"),
    edited("\"Accuracy\"", "\"Loss\", topk = 5", "?"),
    // How long.
    edited("train_cfg = { by_epoch = true, max_epochs = 4 }", "", "?"),
    edited("max_epochs = 4", "max_epoch = 4", "?"),
    edited("max_epochs = 4", "max_epochs = 0", "?"),
    edited("max_epochs = 4", "max_epochs = \"4\"", "?"),
    edited("max_epochs = 4", "max_epochs = 4.5", "?"),
    edited("by_epoch = true", "by_epoch = 1", "?"),
    edited("by_epoch = true", "by_epoch = false", "?"),
    edited("by_epoch = true, max_epochs = 4", "by_epoch = false, max_iters = 10, max_epochs = 4", "?"),
    edited("by_epoch = true, max_epochs = 4", "by_epoch = false, max_iters = 0", "?"),
    edited("max_epochs = 4", "max_epochs = 4, max_iters = 4", "?"),
    edited("max_epochs = 4", "max_epochs = 4, val_interval = 0", "?"),
    edited("max_epochs = 4", "max_epochs = 4, val_begin = \"2\"", "?"),
    edited("max_epochs = 4", "max_epochs = 4, val_intervall = 2", "?"),
    edited("max_epochs = 4", "max_epochs = 4, type = \"EpochBasedTrainLoop\"", "?"),
    changed({"train_cfg={_delete_=true,by_epoch=false,max_iters=10}", "optim_wrapper.accumulative_counts=4"}, "?"),
    // The optimizer.
    edited("optim_wrapper = { optimizer = { type = \"SGD\", lr = 0.1 } }", "", "?"),
    edited("{ optimizer = { type = \"SGD\", lr = 0.1 } }", "{ type = \"SGD\", lr = 0.1 }", "?"),
    edited("{ optimizer = { type = \"SGD\", lr = 0.1 } }", "{ optimizer = \"SGD\" }", "?"),
    edited("\"SGD\"", "\"sgd\"", "?"),
    edited("\"SGD\"", "\"Adagrad\"", "?"),
    edited("\"SGD\"", "\"AdamX\"", "?"),
    edited("type = \"SGD\", ", "", "?"),
    edited(", lr = 0.1", "", "?"),
    edited("lr = 0.1", "lr = -0.1", "?"),
    edited("lr = 0.1", "lr = \"0.1\"", "?"),
    edited("lr = 0.1", "lr = nan", "?"),
    edited("lr = 0.1", "lr = inf", "?"),
    edited("lr = 0.1", "lr = 0.1, momentun = 0.9", "?"),
    edited("lr = 0.1", "lr = 0.1, momentum = -1", "?"),
    edited("lr = 0.1", "lr = 0.1, weight_decay = -1", "?"),
    edited("lr = 0.1", "lr = 0.1, betas = [0.9, 0.999]", "?"),
    edited("lr = 0.1", "lr = 0.1, nesterov = true", "?"),
    edited("lr = 0.1", "lr = 0.1, nesterov = 1", "?"),
    edited("lr = 0.1", "lr = 0.1, momentum = 0.9, nesterov = true, dampening = 0.1", "?"),
    edited("\"SGD\", lr = 0.1", "\"Adam\", lr = 0.1, betas = [0.9]", "?"),
    edited("\"SGD\", lr = 0.1", "\"Adam\", lr = 0.1, betas = [0.9, 1]", "?"),
    edited("\"SGD\", lr = 0.1", "\"Adam\", lr = 0.1, betas = \"0.9\"", "?"),
    edited("\"SGD\", lr = 0.1", "\"Adam\", lr = 0.1, momentum = 0.9", "?"),
    edited("\"SGD\", lr = 0.1", "\"AdamW\", lr = 0.1, eps = -1", "?"),
    edited("\"SGD\", lr = 0.1", "\"AdamW\", lr = 0.1, amsgrad = \"no\"", "?"),
    edited("\"SGD\", lr = 0.1", "\"RMSprop\", lr = 0.1, alpha = 2", "?"),
    edited("\"SGD\", lr = 0.1", "\"RMSprop\", lr = 0.1, centred = true", "?"),
    changed({"optim_wrapper.type=AmpOptimWraper"}, "?"),
    changed({"optim_wrapper.type=AmpOptimWrapper", "env_cfg.precision=fp64"}, "?"),
    changed({"optim_wrapper.type=AmpOptimWrapper", "optim_wrapper.dtype=float16"}, "?"),
    changed({"optim_wrapper.type=AmpOptimWrapper", "optim_wrapper.loss_scale=dynamic"}, "?"),
    changed({"optim_wrapper.dtype=bfloat16"}, "?"),
    changed({"optim_wrapper.accumulative_counts=0"}, "?"),
    changed({"optim_wrapper.accumulate=2"}, "?"),
    changed({"optim_wrapper.clip_grad=1"}, "?"),
    changed({"optim_wrapper.clip_grad={}"}, "?"),
    changed({"optim_wrapper.clip_grad.max_norm=0"}, "?"),
    changed({"optim_wrapper.clip_grad.maxnorm=1"}, "?"),
    changed({"optim_wrapper.clip_grad={type=value,max_norm=1}"}, "?"),
    changed({"optim_wrapper.clip_grad={type='value',max_norm=1}"}, "?"),
    changed({"optim_wrapper.clip_grad={type='vale',max_norm=1}"}, "?"),
    changed({"optim_wrapper.clip_grad={max_norm=1,norm_type=0}"}, "?"),
    changed({"optim_wrapper.clip_grad={type='value',clip_value=1,max_norm=1}"}, "?"),
    // Schedulers.
    edited("[{ type = \"StepLR\", step_size = 2 }]", "3", "?"),
    edited("[{ type = \"StepLR\", step_size = 2 }]", "[\"StepLR\"]", "?"),
    edited("[{ type = \"StepLR\", step_size = 2 }]", "[{ step_size = 2 }]", "?"),
    edited("\"StepLR\"", "\"SetpLR\"", "?"),
    edited("\"StepLR\"", "\"CosineLR\"", "?"),
    edited(", step_size = 2", "", "?"),
    edited("step_size = 2", "step_size = 0", "?"),
    edited("step_size = 2", "step = 2", "?"),
    edited("step_size = 2", "step_size = 2, gamma = -1", "?"),
    edited("step_size = 2", "step_size = 2, begin = 3, end = 3", "?"),
    edited("step_size = 2", "step_size = 2, begin = -1", "?"),
    edited("step_size = 2", "step_size = 2, by_epoch = \"yes\"", "?"),
    edited("step_size = 2", "step_size = 2, milestones = [1]", "?"),
    edited("\"StepLR\", step_size = 2", "\"MultiStepLR\"", "?"),
    edited("\"StepLR\", step_size = 2", "\"MultiStepLR\", milestones = [8, -11]", "?"),
    edited("\"StepLR\", step_size = 2", "\"ExponentialLR\"", "?"),
    edited("\"StepLR\", step_size = 2", "\"CosineAnnealingLR\", T_max = 0", "?"),
    edited("\"StepLR\", step_size = 2", "\"CosineAnnealingLR\", t_max = 4", "?"),
    edited("\"StepLR\", step_size = 2", "\"CosineAnnealingLR\", eta_min = 0.1, eta_min_ratio = 0.1", "?"),
    edited("\"StepLR\", step_size = 2", "\"LinearLR\", start_factor = 0", "?"),
    edited("\"StepLR\", step_size = 2", "\"LinearLR\", end_factor = 2", "?"),
    edited("\"StepLR\", step_size = 2", "\"ConstantLR\", factor = \"half\"", "?"),
    edited("\"StepLR\", step_size = 2", "\"PolyLR\", power = -1", "?"),
    edited("step_size = 2 }]", "step_size = 2 }, { type = \"LinearLR\", start_factr = 0.5 }]", "?"),
    changed({"param_scheduler.0.step_size=two"}, "?"),
    // Hooks.
    added("default_hooks = false", "?"),
    added("default_hooks = { loger = {} }", "?"),
    added("default_hooks = { logger = \"LoggerHook\" }", "?"),
    added("default_hooks = { logger = true }", "?"),
    added("default_hooks = { logger = { type = \"LogerHook\" } }", "?"),
    added("default_hooks = { logger = { interval = 0 } }", "?"),
    added("default_hooks = { logger = { intervall = 5 } }", "?"),
    added("default_hooks = { logger = { ignore_last = 0 } }", "?"),
    added("default_hooks = { timer = { interval = 1 } }", "?"),
    added("default_hooks = { param_scheduler = false }", "?"),
    added("default_hooks = { checkpoint = { interval = -2 } }", "?"),
    added("default_hooks = { checkpoint = { max_keep_ckpts = 0 } }", "?"),
    added("default_hooks = { checkpoint = { max_keep_ckpt = 3 } }", "?"),
    added("default_hooks = { checkpoint = { save_last = \"no\" } }", "?"),
    added("default_hooks = { checkpoint = { save_best = true } }", "?"),
    added("default_hooks = { checkpoint = { save_best = \"acuracy\" } }", "?"),
    added("default_hooks = { checkpoint = { save_best = \"accuracy\", rule = \"more\" } }", "?"),
    added("default_hooks = { checkpoint = { priority = \"VERY_HIHG\" } }", "?"),
    added("default_hooks = { checkpoint = { priority = 101 } }", "?"),
    added("default_hooks = { checkpoint = { priority = 1.5 } }", "?"),
    edited("val_dataloader = { batch_size = 16, dataset = { type = \"synthetic\" } }\nval_cfg = {}\nval_evaluator = [{ type = \"Accuracy\" }]", "default_hooks = { checkpoint = { save_best = \"accuracy\" } }", "?"),
    edited("val_dataloader = { batch_size = 16, dataset = { type = \"synthetic\" } }\nval_cfg = {}\nval_evaluator = [{ type = \"Accuracy\" }]\n", "", "?"),
    edited("[{ type = \"EarlyStoppingHook\", monitor = \"accuracy\" }]", "\"EarlyStoppingHook\"", "?"),
    edited("type = \"EarlyStoppingHook\", ", "", "?"),
    edited("\"EarlyStoppingHook\"", "\"EarlyStopHook\"", "?"),
    edited(", monitor = \"accuracy\"", "", "?"),
    edited("\"accuracy\"", "3", "?"),
    edited("\"accuracy\"", "\"acuracy\", strict = true", "?"),
    edited("\"accuracy\"", "\"accuracy\", patience = 0", "?"),
    edited("\"accuracy\"", "\"accuracy\", min_delta = -1", "?"),
    edited("\"accuracy\"", "\"accuracy\", patince = 3", "?"),
    edited("\"accuracy\"", "\"accuracy\", stopping_threshold = \"0.9\"", "?"),
    edited("\"accuracy\"", "\"accuracy\", rule = \"grater\"", "?"),
    edited("\"accuracy\"", "\"accuracy\", check_finite = 1", "?"),
    edited("\"accuracy\" }", "\"accuracy\" }, { type = \"EMAHook\" }", "?"),
    changed({"custom_hooks.0.monitr=loss"}, "?"),
    edited("\"Accuracy\" }]", "\"test.Odd\" }]\ndefault_hooks = { checkpoint = { save_best = \"auto\" } }", "?"),
    // Model wrappers.
    added("model_wrapper_cfg = \"DDP\"", "?"),
    added("model_wrapper_cfg = { type = \"DDP\" }", "?"),
    added("model_wrapper_cfg = { type = \"MMDistributedDataParalel\" }", "?"),
    added("model_wrapper_cfg = { type = \"DistributedDataParallel\", find_unused_paramters = true }", "?"),
    added("model_wrapper_cfg = { find_unused_parameters = 1 }", "?"),
    added("find_unused_parameters = \"yes\"", "?"),
    added("model_wrapper_cfg = { bucket_cap_mb = -1 }", "?"),
    added("model_wrapper_cfg = { bucket_cap_mb = \"25\" }", "?"),
    added("model_wrapper_cfg = { reducer = \"bucket\" }", "?"),
    added("model_wrapper_cfg = { reducer = \"local-sgd\" }", "?"),
    added("model_wrapper_cfg = { comm_hook = \"fp-16\" }", "?"),
    added("model_wrapper_cfg = { comm_hook = \"fp16\", reducer = \"flat\" }", "?"),
    added("model_wrapper_cfg = { reducer = \"naive\",\n find_unused_parameters = true }", "?"),
    added("find_unused_parameters = true\nmodel_wrapper_cfg = { reducer = \"flat\" }", "?"),
    added("model_wrapper_cfg = { reducer = \"flat\", static_graph = true }", "?"),
    added("model_wrapper_cfg = { reducer = \"naive\", gradient_as_bucket_view = false }", "?"),
    changed({"model_wrapper_cfg.comm_hook=powersgd", "model_wrapper_cfg.reducer=c10d"}, "?"),
    added("sync_bn = true", "?"),
    added("sync_bn = \"mmcv\"", "?"),
    added("sync_bn = \"torch\"\nfind_unused_parameters = true", "?", kLaunched),
    added("model_wrapper_cfg = { device_ids = [0] }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", device_ids = \"0,1\" }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", device_ids = [0, 64] }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", device_ids = [0, 1, 1] }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", device_ids = [0, 1], output_device = 2 }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", reduce = \"tre\" }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", reduce = \"nccl\" }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", replicate = true }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\", reducer = \"flat\" }", "?"),
    added("model_wrapper_cfg = { type = \"DataParallel\" }", "?", kLaunched),
    added("model_wrapper_cfg = { type = \"Horovod\" }", "?"),
    added("model_wrapper_cfg = { type = \"Horovod\", op = \"avg\" }", "?"),
    added("model_wrapper_cfg = { type = \"Horovod\", fp16 = true }", "?"),
    edited("\"SGD\", lr = 0.1 } }", "\"Adam\", lr = 0.1 } }\nmodel_wrapper_cfg = { type = \"Horovod\" }", "?"),
  };
}

// A metric of whose name nobody can tell whether more of it is better.
struct Odd final : metrics::Metric {
  void process(const at::Tensor&, const at::Tensor&) override {}
  std::vector<double> take_sums() override { return {0}; }
  std::map<std::string, double> values(const std::vector<double>&) const override {
    return {{"odd", 0}};
  }
};

class BrokenConfigurationsTest : public testing::Test {
 protected:
  BrokenConfigurationsTest() {
    training::models().add("test.tiny", [](const model::Inputs& inputs) {
      inputs.arguments.integer("width", 16, 1, 64);
      return Network();
    });
    metrics::metrics().add(
        "test.Odd", [](const config::Section&) { return std::make_unique<Odd>(); });
    config::write("good.toml", kGood);
    config::write("round.toml", "_base_ = 'broken.toml'\n");
    config::write("wrong.toml", "\n\n[optim_wrapper]\noptimiser = {}\n");
    config::write("weights.safetensors", "");
  }

  // What is said of the file, with `changes`; nothing where it is good.
  static std::string refusal(const Broken& row) {
    config::write("broken.toml", row.text);
    try {
      const config::Section config = config::load("broken.toml", row.changes);
      config.word("launcher", "none", {"none", "pytorch", "slurm", "mpi"});
      load_plugins(config, "");
      make_run(config, World(), row.launched, "broken", /*speaks=*/true);
    } catch (const config::Error& error) {
      return error.what();
    } catch (const std::exception& error) {
      return std::string("no config::Error: ") + error.what();
    }
    return "";
  }

  const config::Folder folder_;
};

TEST_F(BrokenConfigurationsTest, OneLineSaysWhereAndWhat) {
  const auto rows = broken();
  EXPECT_GE(rows.size(), 100U);
  size_t number = 0;
  for (const Broken& row : rows) {
    const std::string line = refusal(row);
    if (getenv("BROKEN_PRINT")) printf("ROW %zu: %s\n", number++, line.c_str());
    else EXPECT_EQ(line, row.line);
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_FALSE(fs::exists("work")) << line;
    fs::remove_all("work");
  }
  std::printf("%zu broken configurations\n", rows.size());
}

TEST_F(BrokenConfigurationsTest, TheGoodOneIsGood) {
  EXPECT_EQ(refusal({kGood, {}, ""}), "");
  EXPECT_EQ(refusal({kGood, {}, "", kLaunched}), "");
  EXPECT_TRUE(fs::exists("work"));
}

}  // namespace
}  // namespace lockstep::runner
