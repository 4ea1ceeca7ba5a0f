#include "simulator/simulation.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <tuple>

#include "simulator/state.h"

namespace lockstep::simulator {
namespace {

constexpr int kMostRanks = 64;

Rank*& rank_of_thread() {
  thread_local Rank* rank = nullptr;
  return rank;
}

}  // namespace

Rank* this_rank() { return rank_of_thread(); }

Rank::Rank(Simulation& simulation, int rank)
    : simulation_(simulation),
      rank_(rank),
      group_(std::make_shared<comm::ProcessGroup>(
          make_backend(*simulation.state_, rank))) {
  rank_of_thread() = this;
}
Rank::~Rank() { rank_of_thread() = nullptr; }

int Rank::size() const { return simulation_.state_->clock.ranks(); }
double Rank::now_s() const { return simulation_.state_->clock.now_s(); }

void Rank::compute(const std::string& name, double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) {
    throw std::invalid_argument("compute: \"" + name + "\" takes " +
                                std::to_string(seconds) + " s; give 0 or more");
  }
  Simulation::State& state = *simulation_.state_;
  Span span;
  span.rank = rank_;
  span.name = name;
  span.begin_s = span.launched_s = state.clock.now_s();
  state.clock.sleep(seconds);
  span.end_s = state.clock.now_s();
  state.spans.push_back(std::move(span));
}

Simulation::Simulation(int ranks, const predict::Cluster& cluster, uint64_t seed) {
  if (ranks < 1 || ranks > kMostRanks) {
    throw std::invalid_argument("a simulation has 1 to " + std::to_string(kMostRanks) +
                                " ranks, not " + std::to_string(ranks));
  }
  state_ = std::make_unique<State>(ranks, cluster, seed);
}
Simulation::~Simulation() = default;

void Simulation::run(const std::function<void(Rank&)>& work) {
  State& state = *state_;
  state.collectives.emplace(state.clock, state.cluster, state.spans);
  state.messages.emplace(state.clock, state.cluster, state.spans);
  state.clock.run([&](int number) {
    // Get, then set: in a new thread LibTorch undoes a set that no get came before.
    at::get_num_threads();
    at::set_num_threads(1);
    Rank rank(*this, number);
    work(rank);
  });
  for (const std::string& left :
       {state.collectives->unfinished(), state.messages->unfinished()}) {
    if (!left.empty()) throw Mismatch("mismatch: " + left);
  }
}

std::vector<Span> Simulation::spans() const {
  std::vector<Span> spans = state_->spans;
  std::stable_sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return std::tie(a.begin_s, a.rank, a.lane) < std::tie(b.begin_s, b.rank, b.lane);
  });
  return spans;
}

double Simulation::seconds() const { return state_->clock.ended_s(); }

}  // namespace lockstep::simulator
