// The members of a watch as threads of one process, for tests alone.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "membership/watch.h"
#include "shm/thread_groups.h"

namespace lockstep::membership {

using WatchPtr = std::unique_ptr<Watch>;
using Words = std::vector<std::string>;

inline constexpr std::chrono::seconds kLong{30};

struct Job {
  int count = 2;
  WatchOptions options{};
  c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::HashStore>();

  WatchOptions of(int index) const {
    WatchOptions mine = options;
    mine.index = index;
    mine.count = count;
    return mine;
  }
  // Those of `members`, each on a thread of its own; the others are somebody else's.
  void run(const std::vector<int>& members,
           const std::function<void(int, WatchPtr&)>& work) const {
    shm::on_threads(static_cast<int>(members.size()), [&](int i) {
      const int index = members[static_cast<size_t>(i)];
      auto watch = std::make_unique<Watch>(*store, of(index));
      work(index, watch);
    });
  }
};

// Notices who is silent after 0.6 s.
inline WatchOptions impatient() {
  WatchOptions options;
  options.beat = std::chrono::milliseconds(100);
  return options;
}

inline void expect_words(const std::string& text, const Words& parts) {
  size_t at = 0;
  for (const std::string& part : parts) {
    at = text.find(part, at);
    ASSERT_NE(at, std::string::npos) << "no \"" << part << "\" in: " << text;
  }
}

}  // namespace lockstep::membership
