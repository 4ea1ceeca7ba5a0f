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
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw std::invalid_argument(
        path + (error ? " cannot be read: " + error.message() : " is not there"));
  }
  if (!fs::is_directory(path, error)) return path;
  if (fs::exists(fs::path(path) / kModel, error)) return fs::path(path) / kModel;
  const auto step = newest_step(path);
  if (step) return fs::path(path) / folder_name(*step) / kModel;
  throw std::invalid_argument(path +
                              " holds no checkpoint; give a file of safetensors, or a "
                              "folder of checkpoints");
}

class LoadFrom final : public training::StepObserver {
 public:
  explicit LoadFrom(const std::string& path) : file_(file_of(path)) {
    std::ifstream in(file_, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
    if (in.bad() || !in.is_open()) throw std::invalid_argument("cannot read " + file_);
    try {
      read_tensors(bytes_, file_);
    } catch (const std::runtime_error& error) {
      throw std::invalid_argument(error.what());
    }
  }

  void built(const torch::nn::Sequential& model,
             torch::optim::Optimizer& /*optimizer*/) override {
    load_model(*model, read_tensors(bytes_, file_), file_);
    bytes_ = std::string();
  }

 private:
  std::string file_;
  std::string bytes_;  // until the model is there
};

}  // namespace

std::shared_ptr<training::StepObserver> make_load_from(const std::string& path) {
  return std::make_shared<LoadFrom>(path);
}

}  // namespace lockstep::checkpoint
