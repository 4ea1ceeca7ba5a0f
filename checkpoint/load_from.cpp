#include "checkpoint/load_from.h"

#include <torch/nn/modules/container/sequential.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "checkpoint/checkpoint_folder.h"
#include "checkpoint/run_state.h"

namespace lockstep::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModel = "model.safetensors";

std::string file_of(const std::string& path) {
  if (!fs::exists(path)) {
    throw std::runtime_error("load_from: " + path + " is not there");
  }
  if (!fs::is_directory(path)) return path;
  if (fs::exists(fs::path(path) / kModel)) return fs::path(path) / kModel;
  const auto step = newest_step(path);
  if (step) return fs::path(path) / folder_name(*step) / kModel;
  throw std::runtime_error("load_from: " + path +
                           " holds no checkpoint; give a file of safetensors, or a "
                           "folder of checkpoints");
}

class LoadFrom final : public training::StepObserver {
 public:
  explicit LoadFrom(std::string path) : path_(std::move(path)) {}

  void built(const torch::nn::Sequential& model,
             torch::optim::Optimizer& /*optimizer*/) override {
    const std::string file = file_of(path_);
    std::ifstream in(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    if (in.bad() || !in.is_open()) throw std::runtime_error("cannot read " + file);
    load_model(*model, read_tensors(bytes, file), file);
  }

 private:
  std::string path_;
};

}  // namespace

std::shared_ptr<training::StepObserver> make_load_from(const std::string& path) {
  return std::make_shared<LoadFrom>(path);
}

}  // namespace lockstep::checkpoint
