#include "runner/plugins.h"

#include <dlfcn.h>

#include <filesystem>

namespace lockstep::runner {

namespace fs = std::filesystem;
namespace {

std::string found_at(const std::string& name, const std::string& folder) {
  const fs::path programs = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& place : {fs::path(folder), programs.parent_path() / "lib"}) {
    std::error_code error;
    if (fs::is_regular_file(place / name, error))
      return fs::absolute(place / name).string();
  }
  return name;
}

}  // namespace

void load_plugins(const config::Section& config, const std::string& folder) {
  const std::string key = "custom_imports";
  for (const std::string& name : config.texts(key)) {
    const std::string path = found_at(name, folder);
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      config.fail(key, "cannot open '" + name + "': " + std::string(dlerror()));
    }
    void* const found = dlsym(library, "register_parts");
    if (found == nullptr) {
      config.fail(key, "'" + name +
                           "' has no register_parts(), which adds its parts to the "
                           "registries");
    }
    reinterpret_cast<void (*)()>(found)();
  }
}

}  // namespace lockstep::runner
