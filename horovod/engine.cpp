// The engine as its callers see it. What goes on behind it is cycle.cpp.
#include "horovod/engine.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "device/memory_ledger.h"

namespace lockstep::horovod {
namespace {

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

void Handle::wait() {
  // What is done may be asked for when the engine has gone.
  if (done_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    engine_->hurry();
  }
  done_.get();
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
  Handle handle(*this, entry.done.get_future());
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    check_running();
    first = queue_.empty() && !looks_by_itself_;
    waits_ = false;
    queue_.push_back(std::move(entry));
  }
  if (first) controller_->wake();
  return handle;
}

void Engine::flush() {
  {
    const std::lock_guard lock(mutex_);
    flush_ = waits_ = true;
  }
  const device::CategoryScope category(device::Category::buckets);
  const std::lock_guard turn(turn_);
  const auto all_is_through = [this] {
    if (is_busy()) return false;
    const std::lock_guard lock(mutex_);
    return queue_.empty();
  };
  while (look_around() && !all_is_through()) controller_->wait(next_look());
  // The thread sleeps as long as there was reason to before.
  if (!over_ && next_look()) controller_->wake();
}

void Engine::hurry() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(waits_, true)) return;
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

}  // namespace lockstep::horovod
