#include "simulator/messages.h"

#include <algorithm>
#include <stdexcept>

#include "simulator/tensor_bytes.h"

namespace lockstep::simulator {
namespace {

std::string bytes_text(const at::Tensor& tensor) {
  return std::to_string(tensor.nbytes()) + " bytes";
}

}  // namespace

Messages::Messages(Clock& clock, const predict::Cluster& cluster,
                   std::vector<Span>& spans)
    : clock_(clock),
      cluster_(cluster),
      spans_(spans),
      out_(static_cast<size_t>(clock.ranks())),
      in_(static_cast<size_t>(clock.ranks())) {}

WorkPtr Messages::send(int from, int to, const at::Tensor& tensor) {
  return add({from, to}, tensor, /*is_send=*/true);
}

WorkPtr Messages::recv(int from, int to, const at::Tensor& tensor) {
  return add({from, to}, tensor, /*is_send=*/false);
}

WorkPtr Messages::add(const Pair& pair, const at::Tensor& tensor, bool is_send) {
  clock_.check();
  check_tensors({tensor}, is_send ? "send" : "recv");
  const int self = is_send ? pair.first : pair.second;
  const int peer = is_send ? pair.second : pair.first;
  const std::string name = "rank " + std::to_string(peer);
  if (peer < 0 || peer >= clock_.ranks() || peer == self) {
    throw std::invalid_argument("rank " + std::to_string(self) +
                                (is_send ? " sends to " : " receives from ") + name +
                                "; its peers are the others of 0 to " +
                                std::to_string(clock_.ranks() - 1));
  }
  auto work = c10::make_intrusive<SimulatedWork>(
      self, is_send ? c10d::OpType::SEND : c10d::OpType::RECV, clock_,
      is_send ? name + " to receive " + bytes_text(tensor)
              : bytes_text(tensor) + " from " + name);
  Ends& ends = waiting_[pair];
  End end = {tensor, clock_.now_s(), {}, work};
  if (is_send) end.bytes = copied({tensor});
  (is_send ? ends.sent : ends.awaited).push_back(std::move(end));
  if (!ends.sent.empty() && !ends.awaited.empty()) move(pair);
  return work;
}

void Messages::move(const Pair& pair) {
  Ends& ends = waiting_.at(pair);
  End sent = std::move(ends.sent.front()), awaited = std::move(ends.awaited.front());
  ends.sent.pop_front();
  ends.awaited.pop_front();
  const auto& [from, to] = pair;
  if (sent.tensor.numel() != awaited.tensor.numel() ||
      sent.tensor.scalar_type() != awaited.tensor.scalar_type()) {
    const auto described = [](const at::Tensor& tensor) {
      return std::to_string(tensor.numel()) + " " + c10::toString(tensor.scalar_type());
    };
    clock_.stop(std::make_exception_ptr(
        Mismatch("mismatch: rank " + std::to_string(from) + " sends " +
                 described(sent.tensor) + " to rank " + std::to_string(to) +
                 ", which receives " + described(awaited.tensor))));
  }
  const double begin_s = in_[to].serve(out_[from].serve(clock_.now_s(), 0), 0);
  const double takes_s = seconds(pair, static_cast<double>(sent.bytes.size()));
  out_[from].serve(begin_s, takes_s);
  clock_.happen_at(in_[to].serve(begin_s, takes_s), [=, this, sent = std::move(sent)] {
    arrive(pair, sent, awaited, begin_s);
  });
}

double Messages::seconds(const Pair& pair, double bytes) const {
  const bool inside =
      pair.first / cluster_.cards_per_host == pair.second / cluster_.cards_per_host;
  const predict::Link& link = inside ? cluster_.inside : cluster_.between;
  const double bytes_per_s =
      inside ? link.bytes_per_s : link.bytes_per_s * cluster_.links_per_host;
  return link.latency_s + bytes / bytes_per_s;
}

void Messages::arrive(const Pair& pair, const End& sent, const End& awaited,
                      double begin_s) {
  write(sent.bytes.data(), {awaited.tensor});
  const auto keep = [&](int rank, const char* name, const End& end) {
    spans_.push_back({rank, Span::Lane::communication, name, begin_s, clock_.now_s(),
                      end.at_s, static_cast<int64_t>(end.tensor.nbytes()),
                      end.tensor.const_data_ptr(), end.tensor.numel(),
                      c10::toString(end.tensor.scalar_type())});
    end.work->complete({end.tensor});
  };
  keep(pair.first, "send", sent);
  keep(pair.second, "recv", awaited);
}

std::string Messages::unfinished() const {
  for (const auto& [pair, ends] : waiting_) {
    const std::string from = "rank " + std::to_string(pair.first);
    const std::string to = "rank " + std::to_string(pair.second);
    if (!ends.sent.empty()) {
      return from + " sent " + bytes_text(ends.sent[0].tensor) + " to " + to +
             ", which ended without receiving them";
    }
    if (!ends.awaited.empty()) {
      return to + " was to receive " + bytes_text(ends.awaited[0].tensor) + " from " +
             from + ", which ended without sending them";
    }
  }
  return "";
}

}  // namespace lockstep::simulator
