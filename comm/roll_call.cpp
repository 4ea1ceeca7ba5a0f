#include "comm/roll_call.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <thread>

namespace lockstep::comm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A rank is believed dead after so many looks that found nothing new of it. Looks, and
// not time: where the store itself stands still nobody is to blame.
constexpr int kLooks = 10;

constexpr milliseconds kLongestPause{100};

const std::string kVerdict = "why_not_all";
const std::string kTold = "told_why";  // how many ranks were

std::string place_of(const Meeting& meeting) {
  return meeting.file.empty() ? meeting.host + ":" + std::to_string(meeting.port)
                              : meeting.file;
}

// "pid 4711 of node7". Threads that are ranks, in tests, are processes of their own.
std::string this_process() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return "pid " + std::to_string(gettid()) + " of " + host.data();
}

class RollCall {
 public:
  RollCall(c10d::Store& store, const Meeting& meeting)
      : store_(store),
        meeting_(meeting),
        last_(static_cast<size_t>(meeting.world_size)) {
    for (int rank = 0; rank < meeting.world_size; ++rank) {
      keys_.push_back("came/" + std::to_string(rank));
    }
  }

  void await_all() {
    const auto start = Clock::now();
    say_here();
    say_who();
    auto next_look = start + meeting_.silence / kLooks;
    for (bool all = false; !all;) {
      all = store_.check(keys_);
      if (store_.check({kVerdict})) leave(text_at(kVerdict));
      if (all) return;
      const auto now = Clock::now();
      if (now - start > meeting_.timeout) {
        give_up("waited " + std::to_string(meeting_.timeout.count() / 1000) +
                " s for " + meeting_.kind + " ");
      }
      if (now >= next_look) {
        say_here();
        look();
        next_look = now + meeting_.silence / kLooks;
      }
      // Whoever waited long may notice a little later.
      std::this_thread::sleep_for(
          std::clamp(std::chrono::duration_cast<milliseconds>((now - start) / 10),
                     milliseconds(1), kLongestPause));
    }
  }

 private:
  struct Seen {
    std::string count;
    int looks = 0;  // since it changed
  };

  void say_here() { store_.add(keys_[static_cast<size_t>(meeting_.rank)], 1); }

  // Only one process can be a rank; the store knows which was the first.
  void say_who() {
    const std::string me = this_process();
    const std::vector<uint8_t> bytes(me.begin(), me.end());
    const auto first =
        store_.compareSet("who/" + std::to_string(meeting_.rank), {}, bytes);
    if (first == bytes) return;
    const std::string text =
        "two processes came as " + meeting_.kind + " " + std::to_string(meeting_.rank) +
        " of " + std::to_string(meeting_.world_size) + " to " + place_of(meeting_) +
        ": " + std::string(first.begin(), first.end()) + " and " + me +
        "; start each with a " + meeting_.kind + " of its own";
    store_.set(kVerdict, std::vector<uint8_t>(text.begin(), text.end()));
    leave(text);
  }

  std::string text_at(const std::string& key) {
    const std::vector<uint8_t> bytes = store_.get(key);
    return {bytes.begin(), bytes.end()};
  }

  void look() {
    for (size_t rank = 0; rank < keys_.size(); ++rank) {
      if (!store_.check({keys_[rank]})) continue;
      const std::string count = text_at(keys_[rank]);
      Seen& seen = last_[rank];
      seen.looks = count == seen.count ? seen.looks + 1 : 0;
      seen.count = count;
      if (seen.looks < kLooks) continue;
      give_up(meeting_.kind + " " + std::to_string(rank) +
              " came and has gone; waited in vain for " + meeting_.kind + " ");
    }
  }

  // Throws, unless the last one has come by now.
  void give_up(const std::string& waited_for) {
    std::string came, missing;
    for (size_t rank = 0; rank < keys_.size(); ++rank) {
      std::string& list = store_.check({keys_[rank]}) ? came : missing;
      list += (list.empty() ? "" : ", ") + std::to_string(rank);
    }
    if (missing.empty()) return;
    const std::string text = waited_for + missing + " of " +
                             std::to_string(meeting_.world_size) + " at " +
                             place_of(meeting_) + "; came: " + came;
    store_.set(kVerdict, std::vector<uint8_t>(text.begin(), text.end()));
    leave(text);
  }

  [[noreturn]] void leave(const std::string& text) {
    int64_t told = store_.add(kTold, 1);
    // The store ends with this rank: the others read it first, those that can.
    if (meeting_.rank == 0 && meeting_.host_store && meeting_.file.empty()) {
      const int64_t came =
          std::count_if(keys_.begin(), keys_.end(),
                        [&](const std::string& key) { return store_.check({key}); });
      for (int i = 0; i < 20 && told < came; ++i) {
        std::this_thread::sleep_for(kLongestPause);
        told = store_.add(kTold, 0);
      }
    }
    throw std::runtime_error(text);
  }

  c10d::Store& store_;
  const Meeting& meeting_;
  std::vector<std::string> keys_;  // [rank]: how often it said that it is here
  std::vector<Seen> last_;
};

}  // namespace

void await_all(c10d::Store& store, const Meeting& meeting) {
  try {
    RollCall(store, meeting).await_all();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw std::runtime_error(
        "the store at " + place_of(meeting) + " went before all " +
        std::to_string(meeting.world_size) + " " + meeting.kind + "s had come; has " +
        (meeting.host_store ? meeting.kind + " 0" : "its launcher") + " gone? (" +
        text.substr(0, text.find('\n')) + ")");
  }
}

}  // namespace lockstep::comm
