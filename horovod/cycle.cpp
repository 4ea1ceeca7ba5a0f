// The negotiation's rounds on every rank: what is said, heard and, on rank 0, decided,
// and when. What becomes of a decision is operations.cpp.
//
// Note [Who waits does the work]
// Rounds are the background thread's while the loop computes, and the loop's own while
// it waits in flush(): it has nothing better to do, and a thread that must be woken for
// each message, and must then wake the loop, costs more than a small model's whole
// backward pass.
//
// Note [A word in a cycle time]
// A rank tells the coordinator of its first gradient at once, of those that come within
// a cycle time after it together. Nothing is lost, for no more than one decision is
// made in a cycle time; the thread does not wake for each of them, on the core on which
// the loop computes.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "comm/lost_peer.h"
#include "horovod/engine.h"

namespace lockstep::horovod {
namespace {

using Clock = Controller::Clock;

// While tensors are under way, how often the thread asks whether somebody was lost who
// holds its connection: a machine that has gone says nothing.
constexpr std::chrono::milliseconds kLookAround{250};

}  // namespace

void Engine::run() {
  const CardScope scope(card_);
  device::set_category(device::Category::buckets);
  std::unique_lock turn(turn_);
  while (look_around()) {
    const auto until = next_look();
    turn.unlock();
    controller_->wait(until);
    turn.lock();
  }
}

bool Engine::look_around() {
  if (over_) return false;
  std::exception_ptr failure;
  try {
    if (negotiate()) return true;
  } catch (...) {
    failure = std::current_exception();
  }
  try {
    timeline_.write();
  } catch (...) {
    if (!failure) failure = std::current_exception();
  }
  over_ = true;
  end(failure);
  controller_->wake();  // the thread, for which nothing is left
  return false;
}

bool Engine::negotiate() {
  std::vector<Controller::Message> messages;
  try {
    messages = controller_->receive();
    if (is_busy() && group_.watch() && !group_.watch()->lost().empty()) {
      throw std::runtime_error("given up");
    }
  } catch (const std::exception& error) {
    lost_a_peer(error);
  }
  for (const Controller::Message& message : messages) {
    if (coordinator_) {
      coordinator_->receive(message.rank, negotiation::read_requests(message.bytes),
                            Clock::now());
    } else if (!carry_out(negotiation::read_responses(message.bytes))) {
      return false;
    }
  }
  RequestList mine;
  if (!take_queue(mine)) return false;
  if (!mine.empty()) say(mine);
  // Rank 0's own word may have been the last one.
  if (coordinator_ && !decide()) return false;
  collect(waits_at_once());
  return true;
}

void Engine::lost_a_peer(const std::exception& error) const {
  throw comm::lost_peer("rank " + std::to_string(rank()) + ": negotiation", " failed",
                        ", a peer has probably gone", group_.watch(), error);
}

// What has been submitted since the last time.
bool Engine::take_queue(RequestList& mine) {
  Entries entries;
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return false;
    const auto now = Clock::now();
    const bool urgent = waits_ || flush_ || join_ || shutdown_;
    if (urgent || now >= next_word_) {
      entries.swap(queue_);
      if (!entries.empty()) next_word_ = now + cycle_time();
      if (urgent) next_word_ = now;
    }
    looks_by_itself_ = now < next_word_;
    mine.joined = std::exchange(join_, false);
    mine.waits = std::exchange(flush_, false);
    loop_waits_ = waits_;
    mine.shutdown = shutdown_ && !told_shutdown_;
  }
  told_shutdown_ |= mine.shutdown;
  for (Entry& entry : entries) {
    const std::optional<int64_t> number = cache_.number_of(entry.request);
    const auto bit = static_cast<size_t>(number.value_or(0));
    if (number && mine.numbers.size() <= bit) mine.numbers.resize(bit + 1);
    // A second time in one message has no bit of its own.
    if (number && !mine.numbers[bit]) {
      mine.numbers[bit] = true;
    } else {
      mine.requests.push_back(entry.request);
    }
    table_[entry.request.name].push_back(std::move(entry));
  }
  return true;
}

void Engine::say(const RequestList& mine) {
  if (coordinator_) {
    coordinator_->receive(rank(), mine, Clock::now());
    return;
  }
  try {
    controller_->send(write(mine));
  } catch (const std::exception& error) {
    lost_a_peer(error);
  }
}

// Rank 0: one cycle, if it is time for one and there is anything to decide.
bool Engine::decide() {
  const auto now = Clock::now();
  const auto look = coordinator_->inspection_due();
  if (look && *look <= now) {
    const std::string warning = coordinator_->inspect(now);
    if (!warning.empty()) warn_(warning);
  }
  if (!coordinator_->has_responses()) return true;
  collect(/*wait=*/false);
  const bool is_early = now < next_cycle_ || !under_way_.empty();
  if (is_early && !coordinator_->all_wait()) return true;
  next_cycle_ = now + cycle_time();
  timeline_.mark_cycle();
  const ResponseList list = coordinator_->take_responses();
  try {
    controller_->send(write(list));
  } catch (const std::exception& error) {
    lost_a_peer(error);
  }
  return carry_out(list);
}

Clock::duration Engine::cycle_time() const {
  return std::chrono::duration_cast<Clock::duration>(settings_.cycle_time);
}

// See Note [A collective that nobody waits for].
bool Engine::waits_at_once() const {
  return loop_waits_ || settings_.cycle_time.count() == 0 || !group_.device().is_cpu();
}

// nullopt: nothing is to be done before somebody says something.
std::optional<Clock::time_point> Engine::next_look() const {
  std::optional<Clock::time_point> next;
  const auto at = [&](Clock::time_point time) {
    next = std::min(next.value_or(time), time);
  };
  const auto now = Clock::now();
  if (is_busy() && group_.watch()) at(now + kLookAround);
  if (!under_way_.empty()) at(now + cycle_time());
  if (now < next_word_) at(next_word_);
  if (coordinator_) {
    if (coordinator_->has_responses() && under_way_.empty()) at(next_cycle_);
    if (const auto look = coordinator_->inspection_due()) at(*look);
  }
  return next;
}

}  // namespace lockstep::horovod
