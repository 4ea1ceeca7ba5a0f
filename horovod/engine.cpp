// The engine as its callers see it, and its background thread's loop. What the thread
// does with the coordinator's decisions is operations.cpp.
#include "horovod/engine.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "comm/lost_peer.h"

namespace lockstep::horovod {
namespace {

using Clock = Controller::Clock;

// While tensors are under way, how often the thread asks whether somebody was lost who
// holds its connection: a machine that has gone says nothing.
constexpr std::chrono::milliseconds kLookAround{250};

Request request_of(const at::Tensor& tensor, const std::string& name,
                   Operation operation) {
  if (name.empty()) throw std::invalid_argument("a tensor is submitted by name");
  Request request;
  request.name = name;
  request.operation = operation;
  request.dtype = c10::toString(tensor.scalar_type());
  request.element_bytes = static_cast<int64_t>(tensor.element_size());
  request.shape = tensor.sizes().vec();
  return request;
}

}  // namespace

Engine::Engine(comm::ProcessGroup& group, std::unique_ptr<Controller> controller,
               const Settings& settings, const Card& card,
               const std::function<void(const std::string&)>& warn)
    : group_(group),
      controller_(std::move(controller)),
      settings_(settings),
      // Copies are its only work, and its own threads would take the loop's cores.
      card_(card.torch_device(), card.index(), /*threads=*/1),
      warn_(warn),
      buffer_(group) {
  if (rank() == 0) {
    timeline_ = Timeline(settings);
    coordinator_.emplace(size(), settings, timeline_);
  }
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  controller_->wake();
  thread_.join();
}

Handle Engine::allreduce(const at::Tensor& tensor, const std::string& name,
                         ReduceOp op) {
  if (op == ReduceOp::average && !tensor.is_floating_point()) {
    throw std::invalid_argument("tensor " + name + ": an average of type " +
                                c10::toString(tensor.scalar_type()) +
                                " would be rounded; try sum");
  }
  Request request = request_of(tensor, name, Operation::allreduce);
  request.op = op;
  return submit(std::move(request), tensor);
}

Handle Engine::broadcast(const at::Tensor& tensor, const std::string& name,
                         int root_rank) {
  if (root_rank < 0) {
    throw std::invalid_argument("tensor " + name + ": root rank " +
                                std::to_string(root_rank) + "; ranks begin at 0");
  }
  Request request = request_of(tensor, name, Operation::broadcast);
  request.root_rank = root_rank;
  return submit(std::move(request), tensor);
}

void Engine::check_running() const {
  if (failure_) std::rethrow_exception(failure_);
  if (ended_ || shutdown_) {
    throw std::runtime_error("Horovod has been shut down; submit before shutdown()");
  }
}

Handle Engine::submit(Request request, const at::Tensor& tensor) {
  Entry entry{std::move(request), tensor.detach(), {}};
  Handle handle(entry.done.get_future());
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    check_running();
    first = queue_.empty();
    queue_.push_back(std::move(entry));
  }
  if (first) controller_->wake();
  return handle;
}

void Engine::flush() {
  {
    const std::lock_guard lock(mutex_);
    flush_ = true;
  }
  controller_->wake();
}

int Engine::join() {
  std::future<int> last;
  {
    const std::lock_guard lock(mutex_);
    check_running();
    if (joined_) throw std::logic_error("this rank has joined already");
    joined_.emplace();
    last = joined_->get_future();
    join_ = true;
  }
  controller_->wake();
  return last.get();
}

void Engine::shutdown() {
  std::unique_lock lock(mutex_);
  if (!ended_ && !shutdown_) {
    shutdown_ = true;
    controller_->wake();
  }
  has_ended_.wait(lock, [&] { return ended_; });
  if (failure_) std::rethrow_exception(failure_);
}

Counts Engine::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Engine::run() {
  const CardScope scope(card_);
  device::set_category(device::Category::buckets);
  std::exception_ptr failure;
  try {
    cycles();
  } catch (...) {
    failure = std::current_exception();
  }
  try {
    timeline_.write();
  } catch (...) {
    if (!failure) failure = std::current_exception();
  }
  end(failure);
}

void Engine::cycles() {
  while (true) {
    RequestList mine;
    if (!take_queue(mine)) return;
    if (!mine.empty()) say(mine);
    // Rank 0's own word may have been the last one.
    if (coordinator_ && !decide()) return;
    std::vector<Controller::Message> messages;
    try {
      messages = controller_->wait(next_look());
      if (!table_.empty() && group_.watch() && !group_.watch()->lost().empty()) {
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
        return;
      }
    }
  }
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
    entries.swap(queue_);
    mine.joined = std::exchange(join_, false);
    mine.waits = std::exchange(flush_, false);
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
  if (now < next_cycle_ && !coordinator_->all_wait()) return true;
  next_cycle_ = now + std::chrono::duration_cast<Clock::duration>(settings_.cycle_time);
  timeline_.mark_cycle();
  const ResponseList list = coordinator_->take_responses();
  try {
    controller_->send(write(list));
  } catch (const std::exception& error) {
    lost_a_peer(error);
  }
  return carry_out(list);
}

// nullopt: nothing is to be done before somebody says something.
std::optional<Clock::time_point> Engine::next_look() const {
  std::optional<Clock::time_point> next;
  const auto at = [&](Clock::time_point time) {
    next = std::min(next.value_or(time), time);
  };
  if (!table_.empty() && group_.watch()) at(Clock::now() + kLookAround);
  if (coordinator_) {
    if (coordinator_->has_responses()) at(next_cycle_);
    if (const auto look = coordinator_->inspection_due()) at(*look);
  }
  return next;
}

}  // namespace lockstep::horovod
