#include "files/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <map>
#include <stdexcept>

#include "files/open_file.h"

namespace lockstep::files {
namespace {

namespace fs = std::filesystem;

bool begins_with(const std::string& path, const std::string& folder) {
  return path.rfind(folder, 0) == 0;
}

// /dev/stdout (whatever it leads to), a named pipe: what must not be replaced by a
// file.
bool takes_bytes_only(const std::string& path) {
  std::error_code missing;
  if (begins_with(path, "/proc/")) return true;
  if (begins_with(path, "/dev/") && !begins_with(path, "/dev/shm/")) return true;
  return fs::exists(path, missing) && !fs::is_regular_file(path, missing);
}

// Where the bytes go: a link stays a link to the file that is written, there already or
// not.
std::string target_of(const std::string& path) {
  if (takes_bytes_only(path)) return path;
  std::error_code missing;
  fs::path target = fs::canonical(path, missing);
  if (!missing) return target.string();
  constexpr int kMostLinks = 40;  // the kernel's own; links may lead round
  target = path;
  for (int links = 0; links < kMostLinks && fs::is_symlink(target, missing); ++links) {
    target = target.parent_path() / fs::read_symlink(target, missing);
  }
  return target.string();
}

// What a file is written as before it takes its place; gone with the scope unless it
// took it. Else errno tells why not.
class FileBeside {
 public:
  explicit FileBeside(const std::string& target)
      : path_(target + ".tmp-" + random_digits()),
        // O_EXCL: never what somebody else has put there, nor where his link leads.
        file_(path_, O_WRONLY | O_CREAT | O_EXCL) {}
  FileBeside(const FileBeside&) = delete;
  FileBeside& operator=(const FileBeside&) = delete;
  ~FileBeside() {
    const int reason = errno;
    if (file_.is_open() && !moved_) unlink(path_.c_str());
    errno = reason;
  }

  const OpenFile& file() const { return file_; }
  bool move_to(const std::string& target) {
    moved_ = std::rename(path_.c_str(), target.c_str()) == 0;
    return moved_;
  }

 private:
  std::string path_;
  OpenFile file_;
  bool moved_ = false;
};

bool write_in_place(const std::string& text, const std::string& target) {
  const OpenFile file(target, O_WRONLY | O_TRUNC);
  return file.is_open() && file.write(text);
}

bool write_beside(const std::string& text, const std::string& target) {
  FileBeside beside(target);
  return beside.file().is_open() && beside.file().write(text) && beside.move_to(target);
}

}  // namespace

void write_whole(const std::string& text, const std::string& path) {
  const std::string target = target_of(path);
  const bool written = takes_bytes_only(target) ? write_in_place(text, target)
                                                : write_beside(text, target);
  if (written) return;
  throw std::runtime_error("cannot write " + path + ": " + std::strerror(errno) +
                           "; free some space or give another path");
}

void write_all(const std::vector<std::function<void()>>& outputs) {
  std::string failed;
  for (const std::function<void()>& output : outputs) {
    try {
      output();
    } catch (const std::exception& error) {
      failed += (failed.empty() ? "" : "; and ") + std::string(error.what());
    }
  }
  if (!failed.empty()) throw std::runtime_error(failed);
}

void check_writable(const std::string& path, const std::string& option) {
  const std::string target = target_of(path);
  std::error_code ignored;
  bool writable = false;
  if (fs::is_directory(target, ignored)) {
    errno = EISDIR;
  } else if (takes_bytes_only(target)) {
    writable = access(target.c_str(), W_OK) == 0;
  } else {
    writable = FileBeside(target).file().is_open();
  }
  if (writable) return;
  throw std::runtime_error(option + " " + path +
                           " cannot be written: " + std::strerror(errno) +
                           "; give a path in a folder that exists and is yours");
}

void check_folder(const std::string& path) {
  std::error_code error;
  if (path.empty()) throw std::runtime_error("'' is no folder's name; give another");
  fs::path there = fs::absolute(path, error);
  while (!error && !fs::exists(there, error)) there = there.parent_path();
  if (!error && !fs::is_directory(there, error)) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (!error && access(there.c_str(), W_OK | X_OK) != 0) {
    error = {errno, std::generic_category()};
  }
  if (!error) return;
  throw std::runtime_error("'" + path + "' cannot be made, '" + there.string() + "': " +
                           error.message() + "; give a path in a folder that is yours");
}

void check_apart(const std::vector<Output>& outputs) {
  std::map<fs::path, const Output*> files;
  for (const Output& output : outputs) {
    const std::string target = target_of(output.path);
    if (takes_bytes_only(target)) continue;
    std::error_code unreadable;
    // Of "new" and "./new" it says the same only where they begin at the root.
    const fs::path whole = fs::weakly_canonical(fs::absolute(target), unreadable);
    const auto [same, is_new] =
        files.emplace(unreadable ? fs::path(target) : whole, &output);
    if (is_new) continue;
    throw std::invalid_argument(same->second->option + " and " + output.option +
                                " would both write " + output.path +
                                "; give each a file of its own");
  }
}

}  // namespace lockstep::files
