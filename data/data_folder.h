// Where the four IDX files of a data set lie on this machine. Nothing is downloaded:
// what is missing is named, with the way to get it.
#pragma once

#include <filesystem>
#include <string>

namespace lockstep::data {

// Each may be plain or gzipped (".gz"); the plain one is taken where both are there.
struct IdxFiles {
  std::filesystem::path train_images;
  std::filesystem::path train_labels;
  std::filesystem::path test_images;
  std::filesystem::path test_labels;
};

// Where `dataset` ("fashion-mnist", "mnist") lies if --data-dir was not given: Debian's
// place.
std::filesystem::path default_data_dir(const std::string& dataset);

// data_dir empty: the default. Throws std::runtime_error, one line, where the folder or
// one of the files is missing; std::invalid_argument for a data set that has no IDX
// files.
IdxFiles find_idx_files(const std::string& dataset,
                        const std::filesystem::path& data_dir = {});

}  // namespace lockstep::data
