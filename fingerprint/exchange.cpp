#include "fingerprint/exchange.h"

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace lockstep::fingerprint {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// In the place of a number, before the words of a rank that gave up.
constexpr const char* kGaveUp = "gave up";

// Ranks that have the same error have it within the others' nap.
constexpr std::chrono::seconds kHearing{2};

// Longer and longer, so that whoever waits long costs the store little.
class Nap {
 public:
  void take() {
    std::this_thread::sleep_for(length_);
    length_ = std::min(2 * length_, kLongest);
  }

 private:
  static constexpr microseconds kLongest{5000};
  microseconds length_{20};
};

}  // namespace

Exchange::Exchange(c10::intrusive_ptr<c10d::Store> store, int rank, int size,
                   std::chrono::milliseconds timeout, comm::PeerWatchPtr watch)
    : store_(std::move(store)),
      rank_(rank),
      size_(size),
      timeout_(timeout),
      watch_(watch) {}

std::string Exchange::slot_of(int rank) const {
  return "fingerprint/" + std::to_string(rank) + "/" + std::to_string(number_ % 2);
}

Exchange::Texts Exchange::show(const std::string& text, const Verdict& verdict) {
  ++number_;
  store_->set(slot_of(rank_), std::to_string(number_) + "\n" + text);
  Texts texts(static_cast<size_t>(size_));
  texts[static_cast<size_t>(rank_)] = text;
  const auto since = Clock::now();
  for (Nap nap;; nap.take()) {
    read(texts);
    if (std::all_of(texts.begin(), texts.end(), [](const auto& t) { return t; })) {
      return texts;
    }
    const auto watch = watch_.lock();
    if (watch && !watch->lost().empty()) throw std::runtime_error("given up");
    if (Clock::now() - since >= timeout_) give_up(verdict(texts), texts);
  }
}

// What is not there yet.
void Exchange::read(Texts& texts) {
  std::vector<int> ranks;
  std::vector<std::string> slots;
  for (int rank = 0; rank < size_; ++rank) {
    if (texts[static_cast<size_t>(rank)]) continue;
    const std::string slot = slot_of(rank);
    // A slot that nobody ever wrote to would be waited for.
    if (number_ <= 2 && !store_->check({slot})) continue;
    ranks.push_back(rank);
    slots.push_back(slot);
  }
  if (slots.empty()) return;
  const auto values = store_->multiGet(slots);
  for (size_t i = 0; i < ranks.size(); ++i) {
    const std::string value(values[i].begin(), values[i].end());
    const size_t end = value.find('\n');
    const std::string number = value.substr(0, end), shown = value.substr(end + 1);
    if (number == kGaveUp) give_up(shown, texts);
    if (number == std::to_string(number_)) texts[static_cast<size_t>(ranks[i])] = shown;
  }
}

// Its own slot tells the others, those that come too late included.
void Exchange::give_up(const std::string& why, const Texts& came) {
  store_->set(slot_of(rank_), std::string(kGaveUp) + "\n" + why);
  hear_out(std::count_if(came.begin(), came.end(), [](const auto& t) { return t; }));
  throw comm::Disagreement(why);
}

void Exchange::hear_out(int64_t ranks) {
  const std::string heard = "fingerprint/heard";
  const auto deadline = Clock::now() + kHearing;
  int64_t came = store_->add(heard, 1);
  for (Nap nap; came < ranks && Clock::now() < deadline; nap.take()) {
    came = store_->add(heard, 0);
  }
}

}  // namespace lockstep::fingerprint
