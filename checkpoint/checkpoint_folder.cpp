#include "checkpoint/checkpoint_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "checkpoint/manifest.h"
#include "files/open_file.h"
#include "files/output_file.h"

namespace lockstep::checkpoint {
namespace {

namespace fs = std::filesystem;
using files::OpenFile;

constexpr const char* kManifest = "manifest";
constexpr const char* kLatest = "latest";
constexpr const char* kStep = "step-";
// Of folders that are being written, and of those that are on their way out.
constexpr const char* kUnfinished = ".unfinished-";

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  const int reason = errno;
  throw std::runtime_error(what + " " + path + ": " + std::strerror(reason) +
                           "; free some space or give another --checkpoint");
}

// To the disk: a rename that is there after a power cut, and its files not, is worse
// than neither.
void sync_folder(const std::string& path) {
  const OpenFile folder(path, O_RDONLY | O_DIRECTORY);
  if (!folder.is_open() || fsync(folder.fd()) != 0) fail("cannot write", path);
}

void write_synced(const std::string& path,
                  const std::vector<std::string_view>& pieces) {
  const OpenFile file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (!file.is_open()) fail("cannot write", path);
  for (const std::string_view piece : pieces) {
    if (!file.write(piece)) fail("cannot write", path);
  }
  if (fsync(file.fd()) != 0) fail("cannot write", path);
}

// Throws std::runtime_error for a file that is not there or cannot be read.
std::string read_whole(const std::string& path) {
  const OpenFile file(path, O_RDONLY);
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (!file.is_open() || error) {
    throw std::runtime_error(
        path + " cannot be read: " + (error ? error.message() : std::strerror(errno)));
  }
  std::string bytes(size, '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got = read(file.fd(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw std::runtime_error(path + " cannot be read: " + std::strerror(errno));
    }
    if (got == 0) bytes.resize(done);  // cut off meanwhile: the manifest knows
    done += static_cast<size_t>(got);
  }
  return bytes;
}

// -1: no checkpoint's name.
int64_t step_of(const std::string& name) {
  const std::string digits = name.substr(std::min(name.size(), std::strlen(kStep)));
  constexpr size_t kMostDigits = 18;
  if (digits.empty() || digits.size() > kMostDigits ||
      !std::all_of(digits.begin(), digits.end(),
                   [](char c) { return c >= '0' && c <= '9'; })) {
    return -1;
  }
  const int64_t step = std::stoll(digits);
  return folder_name(step) == name ? step : -1;
}

// The newest first. No folder: none.
std::vector<int64_t> steps_in(const std::string& folder) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const int64_t step = step_of(it->path().filename().string());
    if (step >= 0) steps.push_back(step);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw std::runtime_error("--checkpoint " + folder + " cannot be read: " +
                             error.message() + "; give a folder that is yours");
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

std::string unfinished_name() { return kUnfinished + files::random_digits(); }

// There is nothing better to do about what cannot be removed than to try again at the
// next checkpoint.
void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

// What is at `to` goes where `from` was: in one move, so that a whole one is there at
// any time, where the file system can.
void put_in_place(const std::string& from, const std::string& to) {
  std::error_code ignored;
  if (!fs::exists(to, ignored)) {
    if (std::rename(from.c_str(), to.c_str()) != 0) fail("cannot write", to);
    return;
  }
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    return;
  }
  const std::string aside = from + "-old";
  if (std::rename(to.c_str(), aside.c_str()) != 0 ||
      std::rename(from.c_str(), to.c_str()) != 0) {
    fail("cannot write", to);
  }
}

}  // namespace

std::string folder_name(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof(name), "%s%08lld", kStep, static_cast<long long>(step));
  return name;
}

Checkpoint checkpoint_at(const std::string& folder, int64_t step) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.path = folder + "/" + folder_name(step);
  const std::string manifest = checkpoint.path + "/" + kManifest;
  for (const ManifestLine& line : read_manifest(read_whole(manifest), manifest)) {
    const std::string path = checkpoint.path + "/" + line.name;
    std::string bytes = read_whole(path);
    if (bytes.size() != line.size) {
      throw std::runtime_error(path + " is damaged: it has " +
                               std::to_string(bytes.size()) + " bytes of " +
                               std::to_string(line.size));
    }
    if (crc_of(bytes) != line.crc) {
      throw std::runtime_error(path +
                               " is damaged: its checksum is not the manifest's");
    }
    checkpoint.files.emplace(line.name, std::move(bytes));
  }
  return checkpoint;
}

std::optional<Checkpoint> newest(const std::string& folder,
                                 const std::function<void(const std::string&)>& warn) {
  for (const int64_t step : steps_in(folder)) {
    try {
      return checkpoint_at(folder, step);
    } catch (const std::runtime_error& error) {
      warn(std::string(error.what()) + "; taking the checkpoint before it");
    }
  }
  return std::nullopt;
}

std::optional<int64_t> newest_step(const std::string& folder) {
  const std::vector<int64_t> steps = steps_in(folder);
  if (steps.empty()) return std::nullopt;
  return steps.front();
}

CheckpointWriter::CheckpointWriter(const std::string& folder, int64_t keep)
    : folder_(folder), keep_(keep), lock_(-1) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) lock_ = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) {
    throw std::runtime_error("--checkpoint " + folder + " cannot be a folder: " +
                             (error ? error.message() : std::strerror(errno)) +
                             "; give a path in a folder that exists and is yours");
  }
  // The kernel lets go of it with the process, however that ends. (File systems without
  // locks know no second writer.)
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    close(lock_);
    throw std::runtime_error("--checkpoint " + folder +
                             ": another run writes there; give a folder of its own");
  }
}

CheckpointWriter::~CheckpointWriter() { close(lock_); }

void CheckpointWriter::save(int64_t step, const std::vector<NewFile>& files) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_)) {
    if (entry.path().filename().string().rfind(kUnfinished, 0) == 0) {
      remove_quietly(entry.path());
    }
  }
  const std::string beside = folder_ + "/" + unfinished_name();
  try {
    std::error_code error;
    if (!fs::create_directory(beside, error)) {
      errno = error.value();
      fail("cannot write", beside);
    }
    std::vector<ManifestLine> lines;
    for (const NewFile& file : files) {
      write_synced(beside + "/" + file.name, file.pieces);
      ManifestLine line{file.name};
      for (const std::string_view piece : file.pieces) {
        line.size += piece.size();
        line.crc = crc_of(piece, line.crc);
      }
      lines.push_back(line);
    }
    write_synced(beside + "/" + kManifest, {to_text(lines)});
    sync_folder(beside);
    put_in_place(beside, folder_ + "/" + folder_name(step));
    sync_folder(folder_);
  } catch (...) {
    remove_quietly(beside);
    throw;
  }
  remove_quietly(beside);  // the one that was replaced
  // For people and scripts: newest() looks for itself.
  files::write_whole(folder_name(step) + "\n", folder_ + "/" + kLatest);
  sync_folder(folder_);
  // Newer ones are none of ours: those that a resumed run found damaged.
  int64_t kept = 0;
  for (const int64_t old : steps_in(folder_)) {
    if (old > step || ++kept <= keep_) continue;
    // Under another name first: a kill in between leaves no half of a checkpoint.
    const std::string aside = folder_ + "/" + unfinished_name();
    if (std::rename((folder_ + "/" + folder_name(old)).c_str(), aside.c_str()) == 0) {
      remove_quietly(aside);
    }
  }
}

}  // namespace lockstep::checkpoint
