#include "checkpoint/run_checkpoint.h"

#include <torch/nn/modules/container/sequential.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "checkpoint/run_state.h"

namespace lockstep::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr int kSchema = 1;
constexpr const char* kModel = "model.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";

std::string to_hex(const std::string& bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<uint8_t>(c) >> 4];
    text += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

std::string from_hex(const std::string& text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

void say(const std::string& line) {
  std::fputs(("checkpoint: " + line + "\n").c_str(), stderr);
}

NewFile new_file(const char* name, const TensorPieces& pieces) {
  NewFile file{name, {pieces.header}};
  file.pieces.insert(file.pieces.end(), pieces.bytes.begin(), pieces.bytes.end());
  return file;
}

Json state_in(const Checkpoint& from) {
  const std::string path = from.path + "/" + kState;
  const auto found = from.files.find(kState);
  Json state;
  if (found != from.files.end()) {
    state = Json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  }
  if (!state.is_object() || state.value("schema", 0) != kSchema) {
    throw std::runtime_error(path + " is of another version; start anew");
  }
  return state;
}

}  // namespace

RunCheckpoint::RunCheckpoint(const CheckpointOptions& options, Metadata agree, int rank,
                             int world_size)
    : options_(options), agree_(std::move(agree)), world_size_(world_size) {
  if (rank == 0) {
    writer_ = std::make_unique<CheckpointWriter>(options.folder, options.keep);
  }
  if (!options.resume) {
    // The next --resume would take it for this run's.
    const auto there = newest_step(options.folder);
    if (!there) return;
    throw std::invalid_argument(options.option + " " + options.folder + " holds " +
                                folder_name(*there) +
                                " of an earlier run; add --resume, or give a folder of "
                                "its own");
  }
  found_ = newest(options.folder, [&](const std::string& warning) {
    if (rank == 0) say(warning);
  });
  if (found_) {
    take_start(*found_, rank);
  } else if (rank == 0) {
    say("none in " + options.folder + "; starting at the beginning");
  }
}

void RunCheckpoint::take_start(const Checkpoint& from, int rank) {
  const Json state = state_in(from);
  const Metadata made_with = state.at("options");
  for (const auto& [option, value] : agree_) {
    const auto found = made_with.find(option);
    if (found != made_with.end() && found->second == value) continue;
    throw std::invalid_argument(
        "--resume: " + from.path + " was made with " + option + " " +
        (found == made_with.end() ? "unset" : found->second) + ", this run has " +
        option + " " + value + "; give the same, or another " + options_.option);
  }
  start_ = {state.at("step"), state.at("epoch"), state.at("samples")};
  if (start_.samples % world_size_ != 0) {
    throw std::invalid_argument(
        "--resume: " + from.path + " lies " + std::to_string(start_.samples) +
        " samples into its epoch, which " + std::to_string(world_size_) +
        " ranks cannot share; resume with as many as before, " +
        std::to_string(state.at("world_size").get<int>()));
  }
  now_ = start_;
  saved_ = start_.step;
  if (rank == 0) say("resuming after step " + std::to_string(start_.step));
}

void RunCheckpoint::planned(int64_t steps) {
  if (start_.step == 0 || steps > start_.step || !writer_) return;
  say("this run would end after step " + std::to_string(steps) +
      "; nothing is left to train");
}

void RunCheckpoint::built(const torch::nn::Sequential& model,
                          torch::optim::Optimizer& optimizer) {
  model_ = model.get();
  optimizer_ = &optimizer;
  if (!found_) return;
  const Json state = state_in(*found_);
  const std::string model_file = found_->path + "/" + kModel;
  const std::string optimizer_file = found_->path + "/" + kOptimizer;
  load_model(*model, read_tensors(found_->files[kModel], model_file), model_file);
  load_optimizer(*model, optimizer,
                 read_tensors(found_->files[kOptimizer], optimizer_file),
                 optimizer_file);
  GeneratorStates generators;
  for (const auto& [name, hex] : state.at("generators").items()) {
    generators[name] = from_hex(hex);
  }
  set_generators(*model, generators);
  notes_ = state.value("notes", Metadata());
  found_.reset();
}

void RunCheckpoint::stands(int64_t steps, int64_t epoch, int64_t samples) {
  now_ = {steps, epoch, samples * world_size_};
  if (options_.every > 0 && steps % options_.every == 0) save();
}

void RunCheckpoint::rests(int64_t steps, int64_t epochs, bool epoch_ended) {
  if (!epoch_ended) return;
  now_ = {steps, epochs, 0};  // a run resumed from here begins with the next epoch
  if (options_.every_epochs > 0 && epochs % options_.every_epochs == 0) save();
}

void RunCheckpoint::finished(const torch::nn::Module& /*model*/) {
  if (saved_ != now_.step) save();
}

void RunCheckpoint::save() {
  saved_ = now_.step;
  if (writer_) write(*writer_);
}

void RunCheckpoint::save_best() {
  if (!writer_) return;
  if (!best_) best_ = std::make_unique<CheckpointWriter>(options_.folder + "/best", 1);
  write(*best_);
}

void RunCheckpoint::write(CheckpointWriter& writer) {
  Json generators = Json::object();
  for (const auto& [name, bytes] : generator_states(*model_)) {
    generators[name] = to_hex(bytes);
  }
  const std::string state = Json{{"schema", kSchema},         {"step", now_.step},
                                 {"epoch", now_.epoch},       {"samples", now_.samples},
                                 {"world_size", world_size_}, {"options", agree_},
                                 {"generators", generators},  {"notes", notes_}}
                                .dump(2) +
                            "\n";
  const HeldTensors model = model_tensors(*model_);
  const HeldTensors optimizer = optimizer_tensors(*model_, *optimizer_);
  const Metadata format = {{"format", "pt"}};  // Python's loaders ask for it
  const TensorPieces model_pieces = to_pieces(model.tensors, format);
  const TensorPieces optimizer_pieces = to_pieces(optimizer.tensors, format);
  writer.save(now_.step, {new_file(kModel, model_pieces),
                          new_file(kOptimizer, optimizer_pieces),
                          {kState, {state}}});
}

}  // namespace lockstep::checkpoint
