#include "comm/process_group.h"

#include <cstring>
#include <map>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "comm/busy_clock.h"
#include "comm/lost_peer.h"

namespace lockstep::comm {

namespace {

// Null where the backend tells nobody when a collective ends, as gloo's
// reduce_scatter: it then counts as busy for no time, and is in no trace.
c10::intrusive_ptr<c10::ivalue::Future> future_of(c10d::Work& work) {
  try {
    return work.getFuture();
  } catch (const c10::Error&) {
    return nullptr;
  }
}

std::vector<std::vector<at::Tensor>> by_type(const std::vector<at::Tensor>& tensors) {
  std::map<at::ScalarType, std::vector<at::Tensor>> groups;
  for (const at::Tensor& tensor : tensors)
    groups[tensor.scalar_type()].push_back(tensor);
  std::vector<std::vector<at::Tensor>> result;
  for (auto& [type, group] : groups) result.push_back(std::move(group));
  return result;
}

size_t bytes_of(const std::vector<at::Tensor>& tensors) {
  size_t bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += tensor.nbytes();
  return bytes;
}

}  // namespace

ProcessGroup::ProcessGroup(c10::intrusive_ptr<c10d::Backend> backend, at::Device device,
                           PeerWatchPtr watch)
    : backend_(std::move(backend)),
      device_(device),
      watch_(std::move(watch)),
      busy_(std::make_shared<BusyClock>()) {}

ProcessGroup::~ProcessGroup() {
  // Gloo's would wait for collectives that somebody lost will never come to, until the
  // time-out. It stays: the process is about to end.
  if (waits_for_the_silent() && !watch_->lost().empty()) backend_.release();
}

void ProcessGroup::at_step(int64_t step) {
  if (watch_) watch_->at_step(step);
  check();
}

void ProcessGroup::check() const {
  if (backend_name() != "nccl") return;
  const c10d::ErrorType error = backend_->getError();
  if (error == c10d::ErrorType::SUCCESS) return;
  const bool late = error == c10d::ErrorType::TIMEOUT;
  throw lost_peer(
      "rank " + std::to_string(rank()) + ": a collective on " + device_.str(),
      late ? " was not over in time" : " failed", ", a peer has probably gone", watch_,
      std::runtime_error(late ? "NCCL's watchdog waited for --timeout"
                              : "NCCL's watchdog says no more"));
}

void ProcessGroup::met_at(MeetingPlace place) { meeting_place_ = std::move(place); }
MeetingPlace ProcessGroup::take_meeting_place() {
  return std::exchange(meeting_place_, {});
}

int ProcessGroup::rank() const { return backend_->getRank(); }
int ProcessGroup::size() const { return backend_->getSize(); }
std::string ProcessGroup::backend_name() const { return backend_->getBackendName(); }
std::optional<double> ProcessGroup::take_busy_ms() {
  if (!device_.is_cpu()) return std::nullopt;
  return busy_->take_ms();
}
void ProcessGroup::keep_spans(bool keep) { busy_->keep_spans(keep); }
std::vector<CollectiveSpan> ProcessGroup::take_spans() { return busy_->take_spans(); }

Work ProcessGroup::started(const char* collective, size_t bytes, const Give& give) {
  std::string what = "rank " + std::to_string(rank()) + ": " + collective;
  if (bytes > 0) what += " of " + std::to_string(bytes) + " bytes";
  try {
    auto work = give();
    // A message that is waited for in vain breaks gloo's connections.
    const bool is_message = work && (work->retrieveOpType() == c10d::OpType::SEND ||
                                     work->retrieveOpType() == c10d::OpType::RECV);
    return Work(std::move(work), what, watch_, waits_for_the_silent() && !is_message);
  } catch (const Disagreement&) {
    throw;  // nobody is lost
  } catch (const std::exception& error) {
    throw lost_peer(what, " could not start", "", watch_, error);
  }
}

Work ProcessGroup::timed(const char* collective, size_t bytes, const Give& give) {
  if (!device_.is_cpu()) return started(collective, bytes, give);
  BusyClock::Begun begun = busy_->start(collective, bytes);
  try {
    return started(collective, bytes, [&] {
      auto work = give();
      if (const auto end = future_of(*work)) {
        end->addCallback([busy = busy_, begun, ended = ended_](c10::ivalue::Future&) {
          if (ended) ended();
          busy->stop(begun);
        });
      } else {
        begun.is_kept = false;
        busy_->stop(begun);
      }
      return work;
    });
  } catch (...) {
    busy_->stop(begun);
    throw;
  }
}

Work ProcessGroup::all_reduce(const at::Tensor& tensor) {
  return all_reduce_by(tensor, c10d::ReduceOp::SUM);
}

Work ProcessGroup::all_reduce_mean(const at::Tensor& tensor) {
  return all_reduce_by(tensor, c10d::ReduceOp::AVG);
}

Work ProcessGroup::all_reduce_mean(const std::vector<at::Tensor>& tensors) {
  return timed("all_reduce", bytes_of(tensors), [&] {
    std::vector<at::Tensor> all = tensors;
    c10d::AllreduceCoalescedOptions options;
    options.reduceOp = c10d::ReduceOp::AVG;
    return backend_->allreduce_coalesced(all, options);
  });
}

bool ProcessGroup::waits_for_the_silent() const {
  return watch_ && (backend_name() == "gloo" || backend_name() == "hier");
}

// Messages are made of what lies side by side; shared memory is read where it is.
bool ProcessGroup::adds_in_place() const { return backend_name() == "shm"; }

Work ProcessGroup::update_shards(const ShardedUpdate& update) {
  auto& shm = dynamic_cast<UpdatesShards&>(*backend_);
  return timed("update", bytes_of(update.gradients),
               [&] { return shm.update_shards(update); });
}

int64_t ProcessGroup::shard_elements(const std::vector<at::Tensor>& parameters) const {
  return dynamic_cast<const UpdatesShards&>(*backend_).shard_elements(parameters);
}

Work ProcessGroup::all_reduce_by(const at::Tensor& tensor, int operation) {
  return timed("all_reduce", tensor.nbytes(), [&] {
    std::vector<at::Tensor> tensors = {tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = static_cast<c10d::ReduceOp::RedOpType>(operation);
    return backend_->allreduce(tensors, options);
  });
}

Work ProcessGroup::reduce(const at::Tensor& tensor, int root) {
  return timed("reduce", tensor.nbytes(), [&] {
    std::vector<at::Tensor> tensors = {tensor};
    c10d::ReduceOptions options;
    options.rootRank = root;
    return backend_->reduce(tensors, options);
  });
}

Work ProcessGroup::reduce_scatter(const at::Tensor& output, const at::Tensor& input) {
  return timed("reduce_scatter", input.nbytes(), [&] {
    at::Tensor to = output, from = input;
    return backend_->_reduce_scatter_base(to, from);
  });
}

Work ProcessGroup::all_gather(const at::Tensor& output, const at::Tensor& input) {
  return timed("all_gather", output.nbytes(), [&] {
    at::Tensor to = output, from = input;
    return backend_->_allgather_base(to, from);
  });
}

// A message's tag tells it from others between the same two ranks; the order of calls
// does that here.
Work ProcessGroup::send(const at::Tensor& tensor, int to) {
  if (tensor.numel() == 0) return Work();
  std::vector<at::Tensor> tensors = {tensor};
  return started("send", tensor.nbytes(),
                 [&] { return backend_->send(tensors, to, /*tag=*/0); });
}

Work ProcessGroup::recv(const at::Tensor& tensor, int from) {
  if (tensor.numel() == 0) return Work();
  std::vector<at::Tensor> tensors = {tensor};
  return started("recv", tensor.nbytes(),
                 [&] { return backend_->recv(tensors, from, /*tag=*/0); });
}

void ProcessGroup::barrier() {
  started("barrier", 0, [&] { return backend_->barrier(); }).wait();
}

void ProcessGroup::monitored_barrier(std::chrono::milliseconds timeout) {
  if (size() == 1) return;
  if (!watch_) throw std::logic_error("monitored_barrier: nobody watches this group");
  watch_->monitored_barrier(timeout);
}

at::Tensor ProcessGroup::allocate(int64_t elements, const at::TensorOptions& options) {
  if (backend_->supportsTensorAlloc(std::max<at::DeviceIndex>(0, device_.index()))) {
    return backend_->allocateTensor(elements, options);
  }
  return at::empty({elements}, options);
}

void ProcessGroup::broadcast(const std::vector<at::Tensor>& tensors, int root) {
  const at::NoGradGuard no_grad;
  for (const std::vector<at::Tensor>& group : by_type(tensors)) {
    std::vector<at::Tensor> pieces;
    for (const at::Tensor& tensor : group)
      pieces.push_back(tensor.detach().reshape({-1}));
    at::Tensor message = at::cat(pieces);
    timed("broadcast", message.nbytes(), [&] {
      std::vector<at::Tensor> messages = {message};
      c10d::BroadcastOptions options;
      options.rootRank = root;
      return backend_->broadcast(messages, options);
    }).wait();
    int64_t offset = 0;
    for (const at::Tensor& tensor : group) {
      if (rank() == root) break;
      tensor.detach().copy_(
          message.narrow(0, offset, tensor.numel()).view(tensor.sizes()));
      offset += tensor.numel();
    }
    // gloo's thread may hold the message a moment longer: its memory goes now.
    message.set_data(at::empty({0}, message.options()));
  }
}

std::vector<std::string> ProcessGroup::all_gather(const std::string& text) {
  // Lengths first, then the texts padded to the longest.
  const auto gather = [this](at::Tensor input) {
    std::vector<std::vector<at::Tensor>> outputs(1);
    for (int i = 0; i < size(); ++i) outputs[0].push_back(at::empty_like(input));
    std::vector<at::Tensor> inputs = {input};
    started("all_gather", input.nbytes(), [&] {
      return backend_->allgather(outputs, inputs);
    }).wait();
    return outputs[0];
  };
  const auto lengths =
      gather(at::full({1}, static_cast<int64_t>(text.size()), at::kLong).to(device_));
  int64_t longest = 1;
  for (const at::Tensor& length : lengths) {
    longest = std::max(longest, length.item<int64_t>());
  }
  const at::Tensor mine = at::zeros({longest}, at::kByte);
  std::memcpy(mine.mutable_data_ptr(), text.data(), text.size());
  std::vector<std::string> texts;
  const auto padded = gather(mine.to(device_));
  for (size_t i = 0; i < padded.size(); ++i) {
    const at::Tensor bytes = padded[i].cpu();
    texts.emplace_back(static_cast<const char*>(bytes.const_data_ptr()),
                       lengths[i].item<int64_t>());
  }
  return texts;
}

}  // namespace lockstep::comm
