#include "data/data_folder.h"

#include <stdexcept>

namespace lockstep::data {
namespace {

// Debian packages Fashion-MNIST, but not MNIST.
std::string how_to_get(const std::string& dataset) {
  if (dataset == "fashion-mnist") {
    return "apt-get install dataset-fashion-mnist, or give --data-dir with the four "
           "IDX files";
  }
  if (dataset == "cifar10") {
    return "give --data-dir with the six files of its binary version "
           "(data_batch_1.bin[.gz], ...)";
  }
  return "give --data-dir with the four IDX files (train-images-idx3-ubyte[.gz], ...)";
}

std::filesystem::path find_file(const std::filesystem::path& folder,
                                const std::string& name, const std::string& dataset) {
  for (const char* ending : {"", ".gz"}) {
    std::filesystem::path path = folder / (name + ending);
    std::error_code missing;
    if (std::filesystem::is_regular_file(path, missing)) return path;
  }
  throw std::runtime_error("no file " + (folder / name).string() +
                           "[.gz]: " + how_to_get(dataset));
}

std::filesystem::path find_folder(const std::string& dataset,
                                  const std::filesystem::path& data_dir) {
  std::filesystem::path folder = default_data_dir(dataset);
  if (!data_dir.empty()) folder = data_dir;
  std::error_code missing;
  if (!std::filesystem::is_directory(folder, missing)) {
    throw std::runtime_error("no folder " + folder.string() + ": " +
                             how_to_get(dataset));
  }
  return folder;
}

}  // namespace

std::filesystem::path default_data_dir(const std::string& dataset) {
  if (dataset != "fashion-mnist" && dataset != "mnist" && dataset != "cifar10") {
    throw std::invalid_argument("data set \"" + dataset +
                                "\" has no files; try fashion-mnist, mnist or cifar10");
  }
  return std::filesystem::path("/usr/share/datasets") / dataset;
}

IdxFiles find_idx_files(const std::string& dataset,
                        const std::filesystem::path& data_dir) {
  const std::filesystem::path folder = find_folder(dataset, data_dir);
  IdxFiles files;
  files.train_images = find_file(folder, "train-images-idx3-ubyte", dataset);
  files.train_labels = find_file(folder, "train-labels-idx1-ubyte", dataset);
  files.test_images = find_file(folder, "t10k-images-idx3-ubyte", dataset);
  files.test_labels = find_file(folder, "t10k-labels-idx1-ubyte", dataset);
  return files;
}

CifarFiles find_cifar10_files(const std::filesystem::path& data_dir) {
  const std::string dataset = "cifar10";
  std::filesystem::path folder = find_folder(dataset, data_dir);
  std::error_code missing;
  if (std::filesystem::is_directory(folder / "cifar-10-batches-bin", missing)) {
    folder /= "cifar-10-batches-bin";
  }
  CifarFiles files;
  for (const char number : {'1', '2', '3', '4', '5'}) {
    files.train.push_back(
        find_file(folder, std::string("data_batch_") + number + ".bin", dataset));
  }
  files.test = find_file(folder, "test_batch.bin", dataset);
  return files;
}

void check_files(const std::string& dataset, const std::filesystem::path& data_dir) {
  std::error_code missing;
  if (dataset == "tokens" && !data_dir.empty() &&
      !std::filesystem::is_regular_file(data_dir, missing)) {
    throw std::invalid_argument("no file " + data_dir.string() +
                                ": give a text file, or leave --data-dir out for "
                                "made-up tokens");
  }
  try {
    if (dataset == "cifar10") find_cifar10_files(data_dir);
    if (dataset == "fashion-mnist" || dataset == "mnist") {
      find_idx_files(dataset, data_dir);
    }
  } catch (const std::runtime_error& error) {
    throw std::invalid_argument(error.what());
  }
}

}  // namespace lockstep::data
