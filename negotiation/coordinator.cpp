#include "negotiation/coordinator.h"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "negotiation/ranks_in_words.h"
#include "negotiation/timeline.h"

namespace lockstep::negotiation {
namespace {

std::string shown(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

// "[2] on ranks 0, 2, [3] on rank 1"; empty where all ranks have the same.
std::string differences(const std::map<int, Request>& by_rank,
                        const std::function<std::string(const Request&)>& value) {
  std::vector<std::string> values;
  std::map<std::string, std::vector<int>> ranks;
  for (const auto& [rank, request] : by_rank) {
    const std::string text = value(request);
    if (ranks[text].empty()) values.push_back(text);
    ranks[text].push_back(rank);
  }
  if (values.size() < 2) return "";
  std::string text;
  for (const std::string& one : values) {
    text += (text.empty() ? "" : ", ") + one + " on " + in_words(ranks[one]);
  }
  return text;
}

Response::Kind kind_of(Operation operation) {
  return operation == Operation::allreduce ? Response::Kind::allreduce
                                           : Response::Kind::broadcast;
}

}  // namespace

Coordinator::Coordinator(int size, const Settings& settings, Timeline& timeline)
    : size_(size),
      fusion_threshold_(settings.fusion_threshold),
      cache_capacity_(settings.cache_capacity),
      timeline_(timeline),
      inspector_(settings) {}

void Coordinator::receive(int rank, const RequestList& list, Clock::time_point now) {
  for (size_t number = 0; number < list.numbers.size(); ++number) {
    if (!list.numbers[number]) continue;
    if (static_cast<int64_t>(number) >= cache_.size()) {
      throw std::runtime_error("rank " + std::to_string(rank) +
                               " speaks of tensor number " + std::to_string(number) +
                               ", and there are " + std::to_string(cache_.size()));
    }
    submit(rank, cache_.at(static_cast<int64_t>(number)), now);
  }
  for (const Request& request : list.requests) submit(rank, request, now);
  if (!list.numbers.empty() || !list.requests.empty()) waiting_ranks_.erase(rank);
  if (list.waits || list.joined) waiting_ranks_.insert(rank);
  if (list.joined) join(rank);
  if (list.shutdown && shutdown_by_ < 0) shutdown_by_ = rank;
}

void Coordinator::submit(int rank, const Request& request, Clock::time_point now) {
  const auto [found, is_new] = submitted_.try_emplace(request.name);
  Submitted& tensor = found->second;
  if (is_new) {
    tensor.times.resize(static_cast<size_t>(size_));
    tensor.since = now;
    tensor.turn = turn_++;
    timeline_.negotiate_start(request);
  }
  // The first word of a rank stays; that there was another is told when all have come.
  if (++tensor.times[static_cast<size_t>(rank)] > 1) return;
  tensor.by_rank.emplace(rank, request);
  timeline_.negotiate_rank_ready(request.name, rank);
  if (is_complete(tensor)) decide(request.name);
}

bool Coordinator::is_complete(const Submitted& tensor) const {
  int there = static_cast<int>(tensor.by_rank.size());
  for (const int rank : joined_) there += tensor.by_rank.contains(rank) ? 0 : 1;
  return there == size_;
}

// A joined rank is ready for whatever the others have, with zeros.
void Coordinator::join(int rank) {
  joined_.insert(rank);
  std::vector<std::pair<int64_t, std::string>> complete;
  for (const auto& [name, tensor] : submitted_) {
    if (is_complete(tensor)) complete.emplace_back(tensor.turn, name);
  }
  std::sort(complete.begin(), complete.end());
  for (const auto& [turn, name] : complete) decide(name);
  if (static_cast<int>(joined_.size()) < size_) return;
  joined_.clear();
  all_joined_ = rank;
}

void Coordinator::decide(const std::string& name) {
  const auto found = submitted_.find(name);
  const Submitted& tensor = found->second;
  timeline_.negotiate_end(name);
  Ready ready;
  ready.request = tensor.by_rank.begin()->second;
  ready.kind = kind_of(ready.request.operation);
  ready.error = refusal(name, tensor);
  ready.times = tensor.times;
  if (!ready.error.empty()) ready.kind = Response::Kind::error;
  ready_.push_back(std::move(ready));
  submitted_.erase(found);
}

// The same on all ranks; empty: there is nothing to refuse.
std::string Coordinator::refusal(const std::string& name,
                                 const Submitted& tensor) const {
  const std::string what = "tensor " + name + ": ";
  for (int rank = 0; rank < size_; ++rank) {
    const int64_t times = tensor.times[static_cast<size_t>(rank)];
    if (times < 2) continue;
    return what + "rank " + std::to_string(rank) + " submitted it " +
           std::to_string(times) +
           " times before the others had once; give each tensor of a step a name of "
           "its own, and wait for it before it is submitted again";
  }
  const auto differing = [&](const char* kind, const auto& value) {
    const std::string values = differences(tensor.by_rank, value);
    if (values.empty()) return values;
    return what + kind + " " + values + "; all ranks must submit the same";
  };
  std::string why = differing(
      "operation", [](const Request& request) { return to_string(request.operation); });
  if (!why.empty()) return why;
  why = differing("type", [](const Request& request) { return request.dtype; });
  if (!why.empty()) return why;
  why = differing("shape", [](const Request& request) { return shown(request.shape); });
  if (!why.empty()) return why;
  const Request& first = tensor.by_rank.begin()->second;
  if (first.operation == Operation::allreduce) {
    return differing("op",
                     [](const Request& request) { return to_string(request.op); });
  }
  why = differing("root rank", [](const Request& request) {
    return std::to_string(request.root_rank);
  });
  if (!why.empty()) return why;
  if (first.root_rank >= size_) {
    return what + "root rank " + std::to_string(first.root_rank) +
           ", and ranks end at " + std::to_string(size_ - 1);
  }
  if (tensor.by_rank.size() < static_cast<size_t>(size_)) {
    return what + "a broadcast, and " + in_words({joined_.begin(), joined_.end()}) +
           " has joined; broadcast before any rank has no more data";
  }
  return "";
}

bool Coordinator::has_responses() const {
  return !ready_.empty() || all_joined_ || shutdown_by_ >= 0 || !fatal_.empty();
}

ResponseTensor Coordinator::tensor_of(const Request& request) {
  if (const auto number = cache_.number_of(request)) return {*number, {}};
  if (cache_.size() >= cache_capacity_) return {-1, request};
  return {cache_.add(request), request};
}

ResponseList Coordinator::take_responses() {
  ResponseList list;
  // Of each kind that may be fused, the response that still has room.
  struct Open {
    size_t response;
    int64_t bytes;
  };
  std::map<std::tuple<Response::Kind, std::string, ReduceOp, int>, Open> open;
  for (Ready& ready : ready_) {
    const Request& request = ready.request;
    if (ready.kind == Response::Kind::error) {
      list.responses.push_back(
          {ready.kind, {{-1, request}}, ready.error, ready.times, /*rank=*/0});
      continue;
    }
    const auto key =
        std::tuple(ready.kind, request.dtype, request.op, request.root_rank);
    const auto found = open.find(key);
    if (found != open.end() && fusion_threshold_ > 0 &&
        found->second.bytes + request.bytes() <= fusion_threshold_) {
      found->second.bytes += request.bytes();
      list.responses[found->second.response].tensors.push_back(tensor_of(request));
      continue;
    }
    open[key] = {list.responses.size(), request.bytes()};
    Response response;
    response.kind = ready.kind;
    response.tensors = {tensor_of(request)};
    list.responses.push_back(std::move(response));
  }
  ready_.clear();
  if (all_joined_) {
    list.responses.push_back({Response::Kind::join, {}, "", {}, *all_joined_});
    all_joined_.reset();
  }
  list.shutdown_by = std::exchange(shutdown_by_, -1);
  list.fatal = std::exchange(fatal_, "");
  return list;
}

std::vector<StallInspector::Waiting> Coordinator::waiting() const {
  std::vector<std::pair<int64_t, StallInspector::Waiting>> in_turn;
  for (const auto& [name, tensor] : submitted_) {
    StallInspector::Waiting one{name, tensor.since, {}};
    for (int rank = 0; rank < size_; ++rank) {
      if (!tensor.by_rank.contains(rank) && !joined_.contains(rank)) {
        one.missing.push_back(rank);
      }
    }
    in_turn.emplace_back(tensor.turn, std::move(one));
  }
  std::sort(in_turn.begin(), in_turn.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<StallInspector::Waiting> waiting;
  for (auto& [turn, one] : in_turn) waiting.push_back(std::move(one));
  return waiting;
}

std::string Coordinator::inspect(Clock::time_point now) {
  StallInspector::Findings findings = inspector_.inspect(waiting(), now);
  if (!findings.shutdown.empty()) fatal_ = findings.shutdown;
  return findings.warning;
}

std::optional<Coordinator::Clock::time_point> Coordinator::inspection_due() const {
  if (submitted_.empty() || !fatal_.empty()) return std::nullopt;
  auto oldest = Clock::time_point::max();
  for (const auto& [name, tensor] : submitted_) {
    oldest = std::min(oldest, tensor.since);
  }
  return inspector_.due(oldest);
}

}  // namespace lockstep::negotiation
