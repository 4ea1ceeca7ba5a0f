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

void Engine::perform(const std::vector<Request>& requests) {
  Entries entries;
  std::vector<at::Tensor> tensors;
  for (const Request& request : requests) {
    entries.push_back(take(request));
    tensors.push_back(entries.back().tensor);
  }
  timeline_.activity_end(requests);  // QUEUE
  try {
    const at::NoGradGuard no_grad;
    if (requests.front().operation == Operation::allreduce) {
      allreduce_now(requests, tensors);
    } else {
      broadcast_now(requests, tensors);
    }
  } catch (...) {
    for (Entry& entry : entries) entry.done.set_exception(std::current_exception());
    throw;
  }
  timeline_.end(requests);
  {
    const std::lock_guard lock(mutex_);
    ++counts_.collectives;
    counts_.tensors += std::ssize(requests);
    counts_.most_tensors =
        std::max<int64_t>(counts_.most_tensors, std::ssize(requests));
    for (const Request& request : requests) counts_.bytes += request.bytes();
  }
  for (Entry& entry : entries) entry.done.set_value();
}

void Engine::allreduce_now(const std::vector<Request>& requests,
                           const std::vector<at::Tensor>& tensors) {
  // A tensor alone is reduced where it lies.
  const bool fused = tensors.size() > 1 || !tensors.front().is_contiguous();
  at::Tensor message = tensors.front();
  if (fused) {
    timeline_.activity_start(requests, "MEMCPY_IN_FUSION_BUFFER");
    message = buffer_.pack(tensors);
    timeline_.activity_end(requests);
  }
  if (message.numel() > 0) {
    timeline_.activity_start(requests, group_.backend_name() + "_ALLREDUCE");
    if (requests.front().op == ReduceOp::average) {
      group_.all_reduce_mean(message).wait();
    } else {
      group_.all_reduce(message).wait();
    }
    timeline_.activity_end(requests);
  }
  if (!fused) return;
  timeline_.activity_start(requests, "MEMCPY_OUT_FUSION_BUFFER");
  FusionBuffer::unpack(message, tensors);
  timeline_.activity_end(requests);
}

// The group's own broadcast puts them side by side.
void Engine::broadcast_now(const std::vector<Request>& requests,
                           const std::vector<at::Tensor>& tensors) {
  timeline_.activity_start(requests, group_.backend_name() + "_BCAST");
  group_.broadcast(tensors, requests.front().root_rank);
  timeline_.activity_end(requests);
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
