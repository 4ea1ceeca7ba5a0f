// Where a run's checkpoints lie: a folder with a folder for each, "step-00000123", and
// `latest`, a file that names the newest. A checkpoint is some files and a manifest of
// their sizes and CRC-32s. It appears whole or not at all, whatever becomes of its
// writer or the machine; and what is read was checked against the manifest, byte for
// byte.
//
// Not here: what is in the files.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::checkpoint {

struct NewFile {
  std::string name;
  std::vector<std::string_view> pieces;  // one after the other
};

struct Checkpoint {
  int64_t step = 0;
  std::string path;
  std::map<std::string, std::string> files;  // name -> bytes
};

std::string folder_name(int64_t step);

// The newest that is whole. Of newer ones that are not, `warn` hears one line each.
std::optional<Checkpoint> newest(const std::string& folder,
                                 const std::function<void(const std::string&)>& warn);
// That step's. Throws std::runtime_error, one line, where it is not whole.
Checkpoint checkpoint_at(const std::string& folder, int64_t step);
// The newest by name alone, whole or not.
std::optional<int64_t> newest_step(const std::string& folder);

// One writer a folder: a second one is refused for as long as the first lives.
class CheckpointWriter {
 public:
  // Makes the folder. `keep`: of how many of the newest, at least 1. Throws
  // std::runtime_error.
  CheckpointWriter(const std::string& folder, int64_t keep);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();

  // Once it returns the checkpoint is on the disk, and those before the last `keep` are
  // gone; what killed writers left as well. One of the same step is replaced in one
  // move. Throws std::runtime_error naming what cannot be written; then all is as
  // before.
  void save(int64_t step, const std::vector<NewFile>& files);

 private:
  std::string folder_;
  int64_t keep_;
  int lock_;
};

}  // namespace lockstep::checkpoint
