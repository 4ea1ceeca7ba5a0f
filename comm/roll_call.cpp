#include "comm/roll_call.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "host/this_host.h"

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
const std::string kMet = "have_met";   // that all have come once
const std::string kJob = "job";        // its name, and who said it first
const std::string kSize = "world_size";
const std::string kTerms = "terms";

std::string place_of(const Meeting& meeting) {
  return meeting.file.empty() ? meeting.host + ":" + std::to_string(meeting.port)
                              : meeting.file;
}

std::string came_key(int rank) { return "came/" + std::to_string(rank); }

// A word, and the rank that said it: two lines of a key.
struct Said {
  std::string word;
  std::string by;

  explicit Said(const std::string& text)
      : word(text.substr(0, text.find('\n'))), by(text.substr(text.find('\n') + 1)) {}
};

class RollCall {
 public:
  RollCall(c10d::Store& store, const Meeting& meeting)
      : store_(store),
        meeting_(meeting),
        last_(static_cast<size_t>(meeting.world_size)) {
    for (int rank = 0; rank < meeting.world_size; ++rank) {
      keys_.push_back(came_key(rank));
    }
  }

  void await_all() {
    const auto start = Clock::now();
    check_job();
    check_not_late();
    say_size();
    say_terms();
    say_here();
    say_who();
    auto next_look = start + meeting_.silence / kLooks;
    for (bool all = false; !all;) {
      all = store_.check(keys_);
      if (store_.check({kVerdict})) leave(text_at(kVerdict));
      if (all) return store_.set(kMet, "1");
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

  std::string me() const {
    return meeting_.kind + " " + std::to_string(meeting_.rank) + " (" +
           host::this_process() + ")";
  }
  bool hosted_by_rank_zero() const {
    return meeting_.host_store && meeting_.file.empty();
  }

  // Says a word and who says it, unless somebody has before; that one's then.
  Said first_to_say(const std::string& key, const std::string& word) {
    const std::string mine = word + "\n" + me();
    const auto first =
        store_.compareSet(key, std::vector<uint8_t>(), {mine.begin(), mine.end()});
    return Said(std::string(first.begin(), first.end()));
  }

  // A store that rank 0 hosts is of its job, whoever comes to it first.
  void check_job() {
    const bool hosts = hosted_by_rank_zero();
    if (hosts && meeting_.rank == 0)
      return store_.set(kJob, meeting_.job + "\n" + me());
    if (meeting_.job.empty()) return;
    const Said here = hosts ? Said(text_at(kJob)) : first_to_say(kJob, meeting_.job);
    if (here.word.empty() || here.word == meeting_.job) return;
    throw std::runtime_error("at " + place_of(meeting_) + " the job " + here.word +
                             " meets, so " + here.by + " says, and " + me() +
                             " is of the job " + meeting_.job +
                             "; give each job a place of its own");
  }

  void check_not_late() {
    if (!store_.check({kMet})) return;
    throw std::runtime_error(
        "all " + meeting_.kind + "s have met already at " + place_of(meeting_) +
        ", and " + me() + " of " + std::to_string(meeting_.world_size) +
        " comes afterwards; " +
        (meeting_.file.empty() ? "is another job there? Give each a port of its own"
                               : "remove the file if its job is over"));
  }

  void say_here() { store_.add(keys_[static_cast<size_t>(meeting_.rank)], 1); }

  // Before it is here: others of a smaller world might take it for the last.
  void say_size() {
    const std::string mine = std::to_string(meeting_.world_size);
    const Said first = first_to_say(kSize, mine);
    if (first.word == mine) return;
    std::string came;
    for (int rank = 0; rank < std::max(meeting_.world_size, std::stoi(first.word));
         ++rank) {
      const std::string name = meeting_.kind + " " + std::to_string(rank) + " (";
      const bool spoke = first.by.rfind(name, 0) == 0;  // and is about to say "here"
      if (rank != meeting_.rank && !spoke && !store_.check({came_key(rank)})) continue;
      came += (came.empty() ? "" : ", ") + std::to_string(rank);
    }
    tell_all(first.by + " was told a world size of " + first.word + " and " + me() +
             " one of " + mine + ", at " + place_of(meeting_) + "; came: " + came +
             "; start all " + meeting_.kind + "s with the same");
  }

  void say_terms() {
    if (meeting_.terms.empty()) return;
    const Said first = first_to_say(kTerms, meeting_.terms);
    if (first.word == meeting_.terms) return;
    tell_all(first.by + " was started with " + first.word + " and " + me() + " with " +
             meeting_.terms + ", at " + place_of(meeting_) + "; start all " +
             meeting_.kind + "s with the same");
  }

  // Only one process can be a rank; the store knows which was the first.
  void say_who() {
    const std::string key = "who/" + std::to_string(meeting_.rank);
    const std::string mine = host::this_process();
    const std::string first = first_to_say(key, mine).word;
    if (first == mine) return;
    tell_all("two processes came as " + meeting_.kind + " " +
             std::to_string(meeting_.rank) + " of " +
             std::to_string(meeting_.world_size) + " to " + place_of(meeting_) + ": " +
             first + " and " + mine + "; start each with a " + meeting_.kind +
             " of its own");
  }

  [[noreturn]] void tell_all(const std::string& text) {
    store_.set(kVerdict, text);
    say_here();
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
    tell_all(text);
  }

  [[noreturn]] void leave(const std::string& text) {
    int64_t told = store_.add(kTold, 1);
    // The store ends with this rank, a file with the first that leaves: the others read
    // it before, those that can.
    const bool takes_it_along = meeting_.rank == 0 && hosted_by_rank_zero();
    if (takes_it_along || !meeting_.file.empty()) {
      const int64_t came =
          std::count_if(keys_.begin(), keys_.end(),
                        [&](const std::string& key) { return store_.check({key}); });
      for (int i = 0; i < 20 && told < came; ++i) {
        std::this_thread::sleep_for(kLongestPause);
        told = store_.add(kTold, 0);
      }
    }
    throw NotAllCame(text);
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
