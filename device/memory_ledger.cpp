#include "device/memory_ledger.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lockstep::device {
namespace {

thread_local Account thread_account;

// A mutex and not atomics: the peak and its categories must be of one moment, and an
// uncontended lock costs 17 ns beside an allocation's 100.
struct CardLedger {
  std::mutex mutex;
  CardBytes bytes;
  int64_t limit = std::numeric_limits<int64_t>::max();
  LedgerListener* listener = nullptr;

  void change(Category category, int64_t by) {
    const auto i = static_cast<size_t>(category);
    bytes.live_by_category[i] += by;
    bytes.highest_by_category[i] =
        std::max(bytes.highest_by_category[i], bytes.live_by_category[i]);
    if (listener != nullptr) listener->changed(category, by);
  }
};

CardLedger& ledger_of(int card) {
  if (card < kHost || card >= kMaxCards) {
    throw std::out_of_range("card " + std::to_string(card) +
                            " has no ledger: cards are 0 to " +
                            std::to_string(kMaxCards - 1));
  }
  // Never destroyed: tensors with static lifetime free their blocks after main().
  static auto& ledgers = *new std::array<CardLedger, kMaxCards + 1>;
  return ledgers[static_cast<size_t>(card - kHost)];
}

struct Unit {
  const char* name;
  double bytes;
};

Unit unit_of(int64_t bytes) {
  if (bytes >= int64_t{1} << 30) return {"GiB", 1 << 30};
  if (bytes >= 1 << 20) return {"MiB", 1 << 20};
  if (bytes >= 1 << 10) return {"KiB", 1 << 10};
  return {"bytes", 1};
}

std::string in(const Unit& unit, int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.*f", unit.bytes == 1 ? 0 : 2,
                static_cast<double>(bytes) / unit.bytes);
  return text;
}

// The largest first.
std::string told(const CardBytes& card, const Unit& unit) {
  std::vector<std::pair<int64_t, std::string_view>> all;
  for (size_t i = 0; i < card.live_by_category.size(); ++i) {
    const int64_t bytes = card.live_by_category[i];
    if (bytes != 0) all.emplace_back(bytes, to_string(static_cast<Category>(i)));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text;
  for (const auto& [bytes, name] : all) {
    text += text.empty() ? " (" : ", ";
    text += std::string(name) + " " + in(unit, bytes);
  }
  return all.empty() ? "" : text + ")";
}

[[noreturn]] void refuse(int card, int64_t bytes, int64_t limit, const CardBytes& now) {
  const Unit more = unit_of(bytes);
  const Unit unit = unit_of(limit);
  TORCH_CHECK_WITH(
      OutOfMemoryError, false, "cpu card ", card, ": out of memory: ", in(more, bytes),
      " ", more.name, " more do not fit: ", in(unit, now.live), " of ", in(unit, limit),
      " ", unit.name, " are in use", told(now, unit), "; try a smaller --batch-size");
}

}  // namespace

std::string_view to_string(Category category) {
  static constexpr std::array<std::string_view, kCategories> kNames = {
      "parameters", "gradients", "optimizer_state",  "activations", "input",
      "replicas",   "outputs",   "gathered_outputs", "buckets",     "other"};
  return kNames.at(static_cast<size_t>(category));
}

CardBytes card_bytes(int card) {
  CardLedger& ledger = ledger_of(card);
  const std::lock_guard lock(ledger.mutex);
  return ledger.bytes;
}

void reset_peak(int card) {
  CardLedger& ledger = ledger_of(card);
  const std::lock_guard lock(ledger.mutex);
  ledger.bytes.peak = ledger.bytes.live;
  ledger.bytes.at_peak_by_category = ledger.bytes.live_by_category;
  ledger.bytes.highest_by_category = ledger.bytes.live_by_category;
}

Account current_account() { return thread_account; }

void set_account(Account account) { thread_account = account; }

void set_category(Category category) { thread_account.category = category; }

void limit_card(int card, int64_t bytes) {
  CardLedger& ledger = ledger_of(card);
  const std::lock_guard lock(ledger.mutex);
  ledger.limit = bytes > 0 ? bytes : std::numeric_limits<int64_t>::max();
}

void charge(Account account, int64_t bytes) {
  CardLedger& ledger = ledger_of(account.card);
  const std::lock_guard lock(ledger.mutex);
  CardBytes& card = ledger.bytes;
  if (bytes > ledger.limit - card.live) {
    refuse(account.card, bytes, ledger.limit, card);
  }
  card.live += bytes;
  ledger.change(account.category, bytes);
  if (card.live > card.peak) {
    card.peak = card.live;
    card.at_peak_by_category = card.live_by_category;
  }
}

void credit(Account account, int64_t bytes) {
  CardLedger& ledger = ledger_of(account.card);
  const std::lock_guard lock(ledger.mutex);
  ledger.bytes.live -= bytes;
  ledger.change(account.category, -bytes);
}

void recategorise(Account from, Category to, int64_t bytes) {
  CardLedger& ledger = ledger_of(from.card);
  const std::lock_guard lock(ledger.mutex);
  ledger.change(from.category, -bytes);
  ledger.change(to, bytes);
}

bool listen(int card, LedgerListener& listener) {
  CardLedger& ledger = ledger_of(card);
  const std::lock_guard lock(ledger.mutex);
  if (ledger.listener != nullptr) return false;
  ledger.listener = &listener;
  listener.begins(ledger.bytes);
  return true;
}

void stop_listening(int card) {
  CardLedger& ledger = ledger_of(card);
  const std::lock_guard lock(ledger.mutex);
  ledger.listener = nullptr;
}

AccountScope::AccountScope(Account account) : before_(thread_account) {
  thread_account = account;
}

AccountScope::~AccountScope() { thread_account = before_; }

}  // namespace lockstep::device
