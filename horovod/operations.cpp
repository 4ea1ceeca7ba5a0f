// What the engine's background thread does with the coordinator's decisions, on every
// rank in the same order (horovod/common/operations.cc, PerformOperation), and at the
// end with what was left.
#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "horovod/engine.h"

namespace lockstep::horovod {
namespace {

at::ScalarType scalar_type_of(const std::string& dtype) {
  constexpr std::array kTypes = {at::kFloat, at::kDouble, at::kHalf,  at::kBFloat16,
                                 at::kByte,  at::kChar,   at::kShort, at::kInt,
                                 at::kLong,  at::kBool};
  for (const at::ScalarType type : kTypes) {
    if (dtype == c10::toString(type)) return type;
  }
  throw std::runtime_error("a joined rank knows no tensors of type " + dtype);
}

}  // namespace

// Note [A collective that nobody waits for]
// While the loop computes, what was started is not waited for: a wait would spin for
// the other ranks (shm) on the core on which the loop computes. The thread sleeps,
// looks once in a cycle time whether it is done, and at once when the loop waits.
// Nothing is decided meanwhile, but what comes is gathered: a link that is busy has no
// use for another message.

// The tensors of each response in full.
std::vector<std::vector<Request>> Engine::learn(const ResponseList& list) {
  std::vector<const ResponseTensor*> fresh;
  for (const Response& response : list.responses) {
    for (const ResponseTensor& tensor : response.tensors) {
      if (tensor.number >= 0 && !tensor.request.name.empty()) fresh.push_back(&tensor);
    }
  }
  // Fusing has put them into another order than that of their numbers.
  std::sort(fresh.begin(), fresh.end(),
            [](const auto* a, const auto* b) { return a->number < b->number; });
  for (const ResponseTensor* tensor : fresh) {
    if (cache_.add(tensor->request) != tensor->number) {
      throw std::runtime_error("tensor " + tensor->request.name + " got number " +
                               std::to_string(tensor->number) + " out of turn");
    }
  }
  std::vector<std::vector<Request>> requests;
  for (const Response& response : list.responses) {
    requests.emplace_back();
    for (const ResponseTensor& tensor : response.tensors) {
      requests.back().push_back(tensor.request.name.empty() ? cache_.at(tensor.number)
                                                            : tensor.request);
    }
  }
  return requests;
}

bool Engine::carry_out(const ResponseList& list) {
  const std::vector<std::vector<Request>> all = learn(list);
  for (size_t i = 0; i < all.size(); ++i) {
    if (list.responses[i].kind > Response::Kind::broadcast) continue;
    timeline_.start(all[i]);
    timeline_.activity_start(all[i], "QUEUE");
  }
  {
    const std::lock_guard lock(mutex_);
    counts_.cycles += list.responses.empty() ? 0 : 1;
    for (const Response& response : list.responses) {
      for (const ResponseTensor& tensor : response.tensors) {
        counts_.by_number += tensor.request.name.empty() ? 1 : 0;
      }
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const Response& response = list.responses[i];
    if (response.kind == Response::Kind::error) {
      refuse(response, all[i].front());
    } else if (response.kind == Response::Kind::join) {
      std::optional<std::promise<int>> joined;
      {
        const std::lock_guard lock(mutex_);
        joined = std::exchange(joined_, std::nullopt);
      }
      if (joined) joined->set_value(response.rank);
    } else {
      perform(all[i]);
    }
  }
  if (!list.fatal.empty() || list.shutdown_by >= 0) collect(/*wait=*/true);
  if (!list.fatal.empty()) throw std::runtime_error(list.fatal);
  ended_by_ = list.shutdown_by;
  return ended_by_ < 0;
}

// This rank's entry; where it has joined, zeros that nobody waits for.
Engine::Entry Engine::take(const Request& request) {
  const auto found = table_.find(request.name);
  if (found == table_.end()) {
    const at::Tensor zeros = at::zeros(
        request.shape,
        at::TensorOptions(scalar_type_of(request.dtype)).device(card_.torch_device()));
    return {request, zeros, {}};
  }
  Entry entry = std::move(found->second.front());
  found->second.pop_front();
  if (found->second.empty()) table_.erase(found);
  return entry;
}

std::vector<at::Tensor> Engine::Started::tensors() const {
  std::vector<at::Tensor> tensors;
  for (const Entry& entry : entries) tensors.push_back(entry.tensor);
  return tensors;
}

void Engine::Started::fail(const std::exception_ptr& why) {
  for (Entry& entry : entries) entry.done.set_exception(why);
}

void Engine::perform(const std::vector<Request>& requests) {
  Started one{requests, {}, {}, {}};
  for (const Request& request : requests) one.entries.push_back(take(request));
  timeline_.activity_end(requests);  // QUEUE
  const at::NoGradGuard no_grad;
  try {
    if (requests.front().operation == Operation::allreduce) {
      start_allreduce(one);
    } else {
      broadcast(one);
    }
  } catch (...) {
    one.fail(std::current_exception());
    throw;
  }
  under_way_.push_back(std::move(one));
}

void Engine::start_allreduce(Started& one) {
  const std::vector<at::Tensor> tensors = one.tensors();
  at::Tensor message = tensors.front();
  // A tensor alone is reduced where it lies.
  if (tensors.size() > 1 || !message.is_contiguous()) {
    collect(/*wait=*/true);  // the buffer may be on its way
    timeline_.activity_start(one.requests, "MEMCPY_IN_FUSION_BUFFER");
    message = one.packed = buffer_.pack(tensors);
    timeline_.activity_end(one.requests);
  }
  timeline_.activity_start(one.requests, group_.backend_name() + "_ALLREDUCE");
  if (message.numel() == 0) return;
  one.work = one.requests.front().op == ReduceOp::average
                 ? group_.all_reduce_mean(message)
                 : group_.all_reduce(message);
}

// The group's own broadcast puts them side by side, and waits.
void Engine::broadcast(Started& one) {
  timeline_.activity_start(one.requests, group_.backend_name() + "_BCAST");
  group_.broadcast(one.tensors(), one.requests.front().root_rank);
}

// What is done of that which was started, in order; or all of it.
void Engine::collect(bool wait) {
  while (!under_way_.empty() && (wait || under_way_.front().work.is_done())) {
    Started one = std::move(under_way_.front());
    under_way_.pop_front();
    const at::NoGradGuard no_grad;
    try {
      finish(one);
    } catch (...) {
      one.fail(std::current_exception());
      throw;
    }
  }
}

void Engine::finish(Started& one) {
  one.work.wait();
  timeline_.activity_end(one.requests);
  if (one.packed.defined()) {
    timeline_.activity_start(one.requests, "MEMCPY_OUT_FUSION_BUFFER");
    FusionBuffer::unpack(one.packed, one.tensors());
    timeline_.activity_end(one.requests);
  }
  timeline_.end(one.requests);
  {
    const std::lock_guard lock(mutex_);
    ++counts_.collectives;
    counts_.tensors += std::ssize(one.requests);
    counts_.most_tensors =
        std::max<int64_t>(counts_.most_tensors, std::ssize(one.requests));
    for (const Request& request : one.requests) counts_.bytes += request.bytes();
  }
  for (Entry& entry : one.entries) entry.done.set_value();
}

// As many of this rank's as the coordinator had heard of.
void Engine::refuse(const Response& response, const Request& request) {
  const auto error = std::make_exception_ptr(std::runtime_error(response.text));
  const auto me = static_cast<size_t>(rank());
  const int64_t times = me < response.times.size() ? response.times[me] : 0;
  for (int64_t i = 0; i < times; ++i) take(request).done.set_exception(error);
}

// Whatever still waits fails by this, or, where there is no reason, by the end itself.
void Engine::end(const std::exception_ptr& why) {
  Entries entries;
  std::optional<std::promise<int>> joined;
  {
    const std::lock_guard lock(mutex_);
    failure_ = why;
    ended_ = true;  // nothing is submitted any more
    entries.swap(queue_);
    joined = std::exchange(joined_, std::nullopt);
  }
  for (auto& [name, waiting] : table_) {
    for (Entry& entry : waiting) entries.push_back(std::move(entry));
  }
  table_.clear();
  for (Started& one : under_way_) {
    for (Entry& entry : one.entries) entries.push_back(std::move(entry));
  }
  under_way_.clear();
  const auto reason = [&](const std::string& what) {
    if (why) return why;
    return std::make_exception_ptr(std::runtime_error(
        what + " still waited when " +
        (ended_by_ < 0 ? "the engine was given up"
                       : "rank " + std::to_string(ended_by_) + " shut Horovod down")));
  };
  for (Entry& entry : entries) {
    entry.done.set_exception(reason("tensor " + entry.request.name));
  }
  if (joined) joined->set_exception(reason("join()"));
  has_ended_.notify_all();
}

}  // namespace lockstep::horovod
