// Every card's memory, told to the byte and by category.
//
// A ledger counts what is allocated while a thread stands in a card's scope. It is
// plain counting: who allocates (LibTorch's CPU allocator) is ledger_allocator.cpp,
// what a card is, card.h. What is allocated outside any card's scope belongs to the
// host (data set, prefetch) and counts to no card.
//
// Thread-safe: blocks may be freed on any thread and are credited to the card they came
// from.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lockstep::device {

enum class Category : uint8_t {
  parameters,
  gradients,
  optimizer_state,
  activations,
  input,
  replicas,
  outputs,  // logits, loss and their gradients, where they come from
  gathered_outputs,
  buckets,
  other,
};
inline constexpr int kCategories = 10;
std::string_view to_string(Category category);

inline constexpr int kHost = -1;  // the "card" of what is allocated outside any scope
inline constexpr int kMaxCards = 64;  // cards are 0 .. 63

struct CardBytes {
  int64_t live = 0;
  int64_t peak = 0;  // the largest `live` since reset_peak()
  std::array<int64_t, kCategories> live_by_category{};
  std::array<int64_t, kCategories> at_peak_by_category{};  // sums to `peak`
  // Each category's own largest since reset_peak(), whenever that was: outputs are gone
  // when a card's peak comes with the optimizer's work.
  std::array<int64_t, kCategories> highest_by_category{};
};

CardBytes card_bytes(int card);
// The peaks start again from what is live now.
void reset_peak(int card);

// Where an allocation is charged: part of each block's header.
struct Account {
  int32_t card = kHost;
  Category category = Category::other;
};
Account current_account();  // of the calling thread
// The calling thread's, from here on; of a category alone: on the same card.
void set_account(Account account);
void set_category(Category category);

// An emulated card holds no more than this, as a real one has a size. 0: no limit.
void limit_card(int card, int64_t bytes);

// Throws c10::OutOfMemoryError where the card's limit leaves no room for them; then
// nothing is charged.
void charge(Account account, int64_t bytes);
void credit(Account account, int64_t bytes);
// Moves bytes between two categories of one card; the peak stays what it was.
void recategorise(Account from, Category to, int64_t bytes);

// Hears of every change of one card's ledger (timeline.h): in its order, inside its
// lock.
class LedgerListener {
 public:
  virtual ~LedgerListener() = default;
  virtual void begins(const CardBytes& bytes) = 0;
  // Charged; negative: credited.
  virtual void changed(Category category, int64_t bytes) = 0;
};
// False where somebody listens to that card already.
bool listen(int card, LedgerListener& listener);
void stop_listening(int card);

// What the calling thread allocates counts to `account` until the scope ends. Scopes
// nest.
class AccountScope {
 public:
  explicit AccountScope(Account account);
  ~AccountScope();
  AccountScope(const AccountScope&) = delete;
  AccountScope& operator=(const AccountScope&) = delete;

 private:
  Account before_;
};

// The same card, another category.
class CategoryScope : public AccountScope {
 public:
  explicit CategoryScope(Category category)
      : AccountScope({current_account().card, category}) {}
};

// The data set and prefetched batches: no card pays for them.
class HostScope : public AccountScope {
 public:
  HostScope() : AccountScope({kHost, Category::other}) {}
};

}  // namespace lockstep::device
