#include "simulator/collectives.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <utility>

#include "simulator/tensor_bytes.h"

namespace lockstep::simulator {
namespace {

// "all_reduce of 20 Float (mean)".
std::string described(const Part& part) {
  std::string text = part.kind + " of " + std::to_string(elements_of(part.from)) + " " +
                     c10::toString(part.from[0].scalar_type());
  if (part.joins == Part::Joins::mean) text += " (mean)";
  if (part.root >= 0) text += " with root " + std::to_string(part.root);
  return text;
}

at::Tensor as_tensor(std::vector<char>& bytes, at::ScalarType type) {
  const auto elements = static_cast<int64_t>(bytes.size() / c10::elementSize(type));
  return at::from_blob(bytes.data(), {elements}, at::TensorOptions(type));
}

}  // namespace

Collectives::Collectives(Clock& clock, const predict::Cluster& cluster,
                         std::vector<Span>& spans)
    : clock_(clock),
      cluster_(cluster),
      spans_(spans),
      launched_(static_cast<size_t>(clock.ranks()), 0) {}

WorkPtr Collectives::launch(int rank, Part part) {
  clock_.check();
  check_tensors(part.from, part.kind.c_str());
  const int64_t number = ++launched_[rank];
  ByRank& all = under_way_[number];
  if (!all.empty()) check_match(number, rank, part);
  auto work = c10::make_intrusive<SimulatedWork>(
      rank, part.type, clock_,
      part.kind + " number " + std::to_string(number) + " of " +
          std::to_string(bytes_of(part.from)) + " bytes");
  const bool is_read =
      part.root < 0 || part.root == rank || part.joins != Part::Joins::of_root;
  std::vector<char> bytes;
  if (is_read) bytes = copied(part.from);
  all[rank] = {std::move(part), clock_.now_s(), std::move(bytes), work};
  if (all.size() == launched_.size()) begin(number);
  return work;
}

void Collectives::check_match(int64_t number, int rank, const Part& part) {
  const auto& [other, launched] = *under_way_.at(number).begin();
  std::map<int, std::string> asked = {{rank, described(part)},
                                      {other, described(launched.part)}};
  if (asked.begin()->second == asked.rbegin()->second) return;
  std::string text;
  for (const auto& [who, what] : asked) {
    text += (text.empty() ? "rank " : ", rank ") + std::to_string(who) + " launched " +
            what;
  }
  clock_.stop(std::make_exception_ptr(
      Mismatch("mismatch: collective number " + std::to_string(number) + ": " + text)));
}

void Collectives::begin(int64_t number) {
  const Part& part = under_way_[number].begin()->second.part;
  const double begin_s = line_.serve(clock_.now_s(), 0);
  const double end_s =
      line_.serve(begin_s, seconds(part, static_cast<double>(bytes_of(part.from))));
  clock_.happen_at(end_s, [this, number, begin_s] { complete(number, begin_s); });
}

// An all_reduce is a reduce_scatter and an all_gather (a ring) or a reduce and a
// broadcast (trees), equally long each: any of them takes half of what moving as many
// bytes takes there, counted as the whole buffer. A barrier is an all_reduce of
// nothing.
double Collectives::seconds(const Part& part, double bytes) const {
  const int cards = clock_.ranks();
  const bool is_gather = part.joins == Part::Joins::side_by_side;
  const double whole =
      predict::all_reduce_s(cluster_, cards, is_gather ? bytes * cards : bytes);
  if (cards < 2 || part.kind == "all_reduce" || part.kind == "barrier") return whole;
  return cluster_.call_s + (whole - cluster_.call_s) / 2;
}

void Collectives::complete(int64_t number, double begin_s) {
  ByRank all = std::move(under_way_.at(number));
  under_way_.erase(number);
  const Part& any = all.begin()->second.part;
  const at::ScalarType type = any.from[0].scalar_type();
  std::vector<char>& result =
      all.at(any.joins == Part::Joins::of_root ? any.root : 0).bytes;
  for (auto& [rank, launched] : all) {
    if (any.joins == Part::Joins::of_root || rank == 0) continue;
    if (any.joins == Part::Joins::side_by_side) {
      result.insert(result.end(), launched.bytes.begin(), launched.bytes.end());
    } else {
      as_tensor(result, type).add_(as_tensor(launched.bytes, type));
    }
  }
  if (any.joins == Part::Joins::mean) {
    as_tensor(result, type).div_(static_cast<int64_t>(all.size()));
  }
  for (auto& [rank, launched] : all) {
    const Part& part = launched.part;
    write(result.data() + part.piece * bytes_of(part.to), part.to);
    spans_.push_back({rank, Span::Lane::communication, part.kind, begin_s,
                      clock_.now_s(), launched.at_s, bytes_of(part.from),
                      part.from[0].const_data_ptr(), elements_of(part.from),
                      c10::toString(type)});
    launched.work->complete(part.to);
  }
}

std::string Collectives::unfinished() const {
  if (under_way_.empty()) return "";
  const auto& [number, all] = *under_way_.begin();
  std::vector<int> with, without;
  for (int rank = 0; rank < clock_.ranks(); ++rank) {
    (all.contains(rank) ? with : without).push_back(rank);
  }
  return ranks_text(with) + " launched number " + std::to_string(number) + ", " +
         described(all.begin()->second.part) + "; " + ranks_text(without) +
         " ended without it";
}

}  // namespace lockstep::simulator
