// Where the files of a data set lie on this machine: four IDX files, or the six binary
// ones of CIFAR-10. Nothing is downloaded: what is missing is named, with the way to
// get it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::data {

// Each may be plain or gzipped (".gz"); the plain one is taken where both are there.
struct IdxFiles {
  std::filesystem::path train_images;
  std::filesystem::path train_labels;
  std::filesystem::path test_images;
  std::filesystem::path test_labels;
};

struct CifarFiles {
  std::vector<std::filesystem::path> train;  // data_batch_1.bin .. data_batch_5.bin
  std::filesystem::path test;                // test_batch.bin
};

// Where `dataset` ("fashion-mnist", "mnist", "cifar10") lies if --data-dir was not
// given: Debian's place.
std::filesystem::path default_data_dir(const std::string& dataset);

// data_dir empty: the default. Throws std::runtime_error, one line, where the folder or
// one of the files is missing; std::invalid_argument for a data set that has no
// files.
IdxFiles find_idx_files(const std::string& dataset,
                        const std::filesystem::path& data_dir = {});

// The same for CIFAR-10. Its archive unpacks to a folder cifar-10-batches-bin: data_dir
// may be that one or the one that it lies in.
CifarFiles find_cifar10_files(const std::filesystem::path& data_dir = {});

// That the files of a data set are there, of those that have any: without reading them,
// before a rank meets another. Throws std::invalid_argument, one line.
void check_files(const std::string& dataset, const std::filesystem::path& data_dir);

}  // namespace lockstep::data
