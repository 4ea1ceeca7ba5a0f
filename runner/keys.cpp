#include "runner/keys.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <typeinfo>

namespace lockstep::runner {

using config::Section;
namespace {

struct Key {
  std::string path;   // nothing: a configuration does not say it
  std::string value;  // that a flag is short for
  std::string name() const { return path.substr(path.rfind('.') + 1); }
};

const std::map<std::string, Key>& keys() {
  static const std::map<std::string, Key> known = {
      {"--accumulate", {"optim_wrapper.accumulative_counts", ""}},
      {"--backend", {"env_cfg.dist_cfg.backend", ""}},
      {"--batch-size", {"train_dataloader.batch_size", ""}},
      {"--bucket-cap-mb", {"model_wrapper_cfg.bucket_cap_mb", ""}},
      {"--checkpoint", {"work_dir", ""}},
      {"--comm-hook", {"model_wrapper_cfg.comm_hook", ""}},
      {"--cudnn-benchmark", {"env_cfg.cudnn_benchmark", "true"}},
      {"--data-dir", {"train_dataloader.dataset.data_dir", ""}},
      {"--dataset", {"train_dataloader.dataset.type", ""}},
      {"--deterministic", {"randomness.deterministic", "true"}},
      {"--device", {"env_cfg.device", ""}},
      {"--device-ids", {"model_wrapper_cfg.device_ids", ""}},
      {"--dp-reduce", {"model_wrapper_cfg.reduce", ""}},
      {"--drop-last", {"train_dataloader.drop_last", ""}},
      {"--epochs", {"train_cfg.max_epochs", ""}},
      {"--find-unused-parameters", {"model_wrapper_cfg.find_unused_parameters", ""}},
      {"--launcher", {"launcher", ""}},
      {"--lr", {"optim_wrapper.optimizer.lr", ""}},
      {"--model", {"model.type", ""}},
      {"--momentum", {"optim_wrapper.optimizer.momentum", ""}},
      {"--no-gradient-as-bucket-view",
       {"model_wrapper_cfg.gradient_as_bucket_view", "false"}},
      {"--output-device", {"model_wrapper_cfg.output_device", ""}},
      {"--pin-memory", {"train_dataloader.pin_memory", ""}},
      {"--precision", {"env_cfg.precision", ""}},
      {"--reducer", {"model_wrapper_cfg.reducer", ""}},
      {"--resume", {"resume", "true"}},
      {"--seed", {"randomness.seed", ""}},
      {"--static-graph", {"model_wrapper_cfg.static_graph", ""}},
      {"--sync-batch-norm", {"sync_bn", ""}},
      {"--timeout", {"env_cfg.dist_cfg.timeout", ""}},
      {"--weight-decay", {"optim_wrapper.optimizer.weight_decay", ""}},
      {"--work-dir", {"work_dir", ""}}};
  return known;
}

// "--backend" of "--backend nccl".
std::string option_at(const std::string& text, size_t at) {
  if (text.compare(at, 2, "--") != 0) return "";
  const size_t end = text.find_first_not_of("-abcdefghijklmnopqrstuvwxyz", at);
  return text.substr(at, end - at);
}

std::string in_keys(const std::string& message) {
  std::string said;
  for (size_t at = 0; at < message.size();) {
    const std::string option = option_at(message, at);
    const auto found = keys().find(option);
    if (found == keys().end()) {
      said += message[at++];
      continue;
    }
    const Key& key = found->second;
    // "model.type", for `type` alone is anybody's.
    said += key.name() == "type" ? key.path : key.name();
    if (!key.value.empty()) said += " = " + key.value;
    at += option.size();
  }
  return said;
}

}  // namespace

void in_keys(const Section& top, const std::function<void()>& check) {
  try {
    check();
  } catch (const config::Error&) {
    throw;
  } catch (const std::runtime_error& error) {
    // Kinds of their own are told apart by others.
    if (typeid(error) != typeid(std::runtime_error)) throw;
    throw std::runtime_error(in_keys(error.what()));
  } catch (const std::invalid_argument& error) {
    const std::string message = error.what();
    const std::string option = option_at(message, 0);
    const auto found = keys().find(option);
    if (found == keys().end()) throw std::invalid_argument(in_keys(message));
    const Key& key = found->second;
    Section table = top;
    size_t from = 0;
    for (size_t dot = 0; (dot = key.path.find('.', from)) != std::string::npos;) {
      table = table.section(key.path.substr(from, dot - from));
      from = dot + 1;
    }
    // find_unused_parameters may stand at the top, too.
    if (!table.has(key.name()) && top.has(key.name())) table = top;
    const size_t rest =
        std::min(message.find_first_not_of(": ", option.size()), message.size());
    const std::string no = key.value == "false" ? "false: " : "";
    table.fail(key.name(), no + in_keys(message.substr(rest)));
  }
}

}  // namespace lockstep::runner
