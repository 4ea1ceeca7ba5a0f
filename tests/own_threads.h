// The threads of this process, as the kernel lists them. For tests alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <set>
#include <string>

namespace lockstep {

// A folder each.
inline std::set<std::string> own_threads() {
  std::set<std::string> found;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    found.insert(task.path());
  }
  return found;
}

inline std::set<std::string> threads_since(const std::set<std::string>& before) {
  std::set<std::string> fresh = own_threads();
  for (const std::string& thread : before) fresh.erase(thread);
  return fresh;
}

// How many there are, once they are `count`, or after ten seconds: a joined thread is
// listed for a moment longer.
inline size_t count_since(const std::set<std::string>& before, size_t count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  size_t found = 0;
  do {
    found = threads_since(before).size();
  } while (found != count && std::chrono::steady_clock::now() < deadline);
  return found;
}

}  // namespace lockstep
