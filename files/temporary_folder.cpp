#include "files/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace lockstep::files {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& needed_by, const std::string& why) {
  throw std::runtime_error(needed_by + " needs a temporary folder: " + why +
                           "; name a place for it in TMPDIR");
}

}  // namespace

std::string temporary_place(const std::string& needed_by) {
  std::error_code error;
  const fs::path place = fs::temp_directory_path(error);
  if (error) refuse(needed_by, error.message());
  return place.string();
}

TemporaryFolder::TemporaryFolder(const std::string& place, const std::string& needed_by)
    : path_((fs::path(place) / "lockstep-XXXXXX").string()) {
  if (mkdtemp(path_.data()) == nullptr) {
    refuse(needed_by, place + ": " + std::strerror(errno));
  }
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace lockstep::files
