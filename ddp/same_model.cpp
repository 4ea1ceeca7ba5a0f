#include "ddp/same_model.h"

#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::ddp {
namespace {

using Lines = std::vector<std::string>;

// One line each: "parameter 1.weight: Float [256, 784]".
std::string description(const Network& model) {
  std::ostringstream text;
  const auto describe = [&](const char* kind, const auto& named) {
    for (const auto& item : named) {
      const at::Tensor& tensor = item.value();
      text << kind << " " << item.key() << ": " << tensor.scalar_type() << " "
           << tensor.sizes() << (tensor.requires_grad() ? "" : ", not trained") << "\n";
    }
  };
  describe("parameter", model->named_parameters());
  describe("buffer", model->named_buffers());
  return text.str();
}

// One line each, always as many: "with --reducer flat", "without --join".
std::string asked_of(const TrainOptions& options) {
  const training::DdpOptions& ddp = options.ddp;
  std::ostringstream text;
  const auto value = [&](const char* option, const auto& is) {
    text << "with " << option << " " << is << "\n";
  };
  const auto flag = [&](const char* option, bool given) {
    text << (given ? "with " : "without ") << option << "\n";
  };
  const auto limit = [&](const char* option, int64_t is) {
    if (is == std::numeric_limits<int64_t>::max()) return flag(option, false);
    value(option, is);
  };
  value("--reducer", ddp.reducer);
  value("--bucket-cap-mb", ddp.bucket_cap_mb);
  flag("--find-unused-parameters", ddp.find_unused_parameters);
  flag("--static-graph", ddp.static_graph);
  flag("--shard-optimizer", ddp.shard_optimizer);
  flag("--no-broadcast-buffers", !ddp.broadcast_buffers);
  value("--comm-hook", ddp.comm_hook);
  value("--powersgd-rank", ddp.powersgd_rank);
  value("--powersgd-start", ddp.powersgd_start);
  value("--local-sgd", ddp.local_sgd);
  value("--outer-lr", ddp.outer_lr);
  value("--outer-momentum", ddp.outer_momentum);
  flag("--sync-batch-norm", ddp.sync_batch_norm);
  flag("--join", ddp.join);
  flag("--bucket-times", !ddp.bucket_times_file.empty());
  value("--accumulate", options.accumulate);
  limit("--steps", options.steps);
  limit("--epochs", options.epochs);
  value("--dataset", options.dataset);
  value("--seed", options.seed);
  flag("--drop-last", options.drop_last);
  value("--lr", options.lr);
  value("--momentum", options.momentum);
  value("--weight-decay", options.weight_decay);
  return text.str();
}

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string line_or_none(const Lines& lines, size_t i) {
  return i < lines.size() ? lines[i] : "nothing more";
}

}  // namespace

void check_same_model(const Network& model, comm::ProcessGroup& group,
                      const TrainOptions& options) {
  const std::string asked = asked_of(options);
  const std::vector<std::string> all = group.all_gather(
      std::to_string(options.start.step) + "\n" + asked + description(model));
  const size_t model_from = 1 + lines_of(asked).size();
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    const Lines mine = lines_of(all[rank]);
    const Lines wanted = lines_of(all[0]);
    if (mine[0] != wanted[0]) {
      throw std::runtime_error("rank " + std::to_string(rank) + " begins after step " +
                               mine[0] + " and rank 0 after step " + wanted[0] +
                               "; give a --checkpoint folder that all machines see");
    }
    size_t i = 0;
    while (line_or_none(mine, i) == line_or_none(wanted, i)) ++i;
    if (i < model_from) {
      throw std::runtime_error("rank " + std::to_string(rank) + " was started " +
                               mine[i] + " and rank 0 " + wanted[i] +
                               "; give all ranks the same");
    }
    throw std::runtime_error(
        "rank " + std::to_string(rank) + " trains another model than rank 0: it has " +
        line_or_none(mine, i) + " where rank 0 has " + line_or_none(wanted, i) +
        "; give all ranks the same --model and --precision");
  }
}

}  // namespace lockstep::ddp
