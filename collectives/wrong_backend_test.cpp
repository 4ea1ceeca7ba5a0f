// A backend that delivers something else than it should, collective by collective:
// #wrong tells how many elements, no more and no fewer. And each collective's size,
// count, algbw and busbw are what nccl-tests' doc/PERFORMANCE.md says they are.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <map>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "collectives/engine.h"
#include "shm/thread_groups.h"

namespace lockstep::collectives {
namespace {

using shm::GroupPtr;
using shm::on_ranks;
using Tensors = std::vector<at::Tensor>;

// What is planted: so many elements, in the results of one rank.
struct Fault {
  std::string collective;  // "all_reduce", ..., "recv"
  int rank = 0;
  int64_t elements = 0;
  // Of a rank's messages, which one, counted from 0, of how many a call.
  int message = 0, messages = 1;
};

// Somebody else's backend, whose results are spoilt once they have come.
class WrongBackend final : public c10d::Backend {
 public:
  WrongBackend(c10::intrusive_ptr<c10d::Backend> backend, Fault fault)
      : Backend(backend->getRank(), backend->getSize()),
        backend_(std::move(backend)),
        fault_(std::move(fault)) {}

  const std::string getBackendName() const override { return "wrong"; }
  c10::intrusive_ptr<c10d::Work> allreduce(
      Tensors& tensors, const c10d::AllreduceOptions& options) override {
    return spoilt("all_reduce", backend_->allreduce(tensors, options), tensors.at(0));
  }
  c10::intrusive_ptr<c10d::Work> broadcast(
      Tensors& tensors, const c10d::BroadcastOptions& options) override {
    return spoilt("broadcast", backend_->broadcast(tensors, options), tensors.at(0));
  }
  c10::intrusive_ptr<c10d::Work> reduce(Tensors& tensors,
                                        const c10d::ReduceOptions& options) override {
    return spoilt("reduce", backend_->reduce(tensors, options), tensors.at(0));
  }
  c10::intrusive_ptr<c10d::Work> _reduce_scatter_base(
      at::Tensor& output, at::Tensor& input,
      const c10d::ReduceScatterOptions& options) override {
    return spoilt("reduce_scatter",
                  backend_->_reduce_scatter_base(output, input, options), output);
  }
  c10::intrusive_ptr<c10d::Work> _allgather_base(
      at::Tensor& output, at::Tensor& input,
      const c10d::AllgatherOptions& options) override {
    return spoilt("all_gather", backend_->_allgather_base(output, input, options),
                  output);
  }
  c10::intrusive_ptr<c10d::Work> recv(Tensors& tensors, int from, int tag) override {
    const bool this_one = received_++ % fault_.messages == fault_.message;
    auto work = backend_->recv(tensors, from, tag);
    return this_one ? spoilt("recv", work, tensors.at(0)) : work;
  }

  // As they should be: the engine itself speaks by them.
  c10::intrusive_ptr<c10d::Work> send(Tensors& tensors, int to, int tag) override {
    return backend_->send(tensors, to, tag);
  }
  c10::intrusive_ptr<c10d::Work> barrier(const c10d::BarrierOptions& options) override {
    return backend_->barrier(options);
  }
  c10::intrusive_ptr<c10d::Work> allgather(
      std::vector<Tensors>& outputs, Tensors& inputs,
      const c10d::AllgatherOptions& options) override {
    return backend_->allgather(outputs, inputs, options);
  }

 private:
  class SpoiltWork final : public c10d::Work {
   public:
    SpoiltWork(c10::intrusive_ptr<c10d::Work> work, at::Tensor result)
        : work_(std::move(work)), result_(std::move(result)) {}
    bool wait(std::chrono::milliseconds timeout) override {
      work_->wait(timeout);
      const at::NoGradGuard no_grad;
      result_.add_(1);
      result_[0] = std::nanf("");  // equals nothing
      return true;
    }
    c10::intrusive_ptr<c10::ivalue::Future> getFuture() override {
      return work_->getFuture();
    }

   private:
    c10::intrusive_ptr<c10d::Work> work_;
    at::Tensor result_;
  };

  c10::intrusive_ptr<c10d::Work> spoilt(const char* collective,
                                        c10::intrusive_ptr<c10d::Work> work,
                                        const at::Tensor& result) const {
    if (fault_.collective != collective || fault_.rank != getRank()) return work;
    const at::Tensor all = result.view({-1});
    // The last ones: what nobody looks at beyond the first is found.
    return c10::make_intrusive<SpoiltWork>(
        work, all.narrow(0, all.numel() - fault_.elements, fault_.elements));
  }

  c10::intrusive_ptr<c10d::Backend> backend_;
  const Fault fault_;
  int received_ = 0;
};

constexpr Rounds kQuick = {.warmup = 1, .iterations = 2, .checks = 2};

// The same on every rank.
int64_t wrong(const GroupPtr& group, const Collective& collective, const Fault& fault) {
  comm::ProcessGroup around(c10::make_intrusive<WrongBackend>(group->backend(), fault));
  return measure(around, collective, 4000, kQuick).wrong.value_or(-1);
}

TEST(WrongBackend, EachCollectivesWrongElementsAreCounted) {
  for (const int ranks : {2, 3}) {
    on_ranks(ranks, [&](GroupPtr& group) {
      for (const std::string& name : collective_names()) {
        const Collective collective = make_collective(name, "backend", ranks);
        EXPECT_EQ(wrong(group, collective, {"none"}), 0) << name;
        for (const int64_t elements : {1, 7}) {
          for (int rank = 0; rank < ranks; ++rank) {
            // What a reduce leaves on others than the root is of no meaning.
            const bool counts = name != "reduce" || rank == 0;
            EXPECT_EQ(wrong(group, collective, {name, rank, elements}),
                      counts ? kQuick.checks * elements : 0)
                << name << " on rank " << rank << " of " << ranks;
          }
        }
      }
    });
  }
}

// Of two ranks. A message that is added to a rank's own goes on to the other: wrong on
// both. The last one, a finished sum, is wrong where it has come.
TEST(WrongBackend, SoAreThoseOfAlgorithmsMadeOfMessages) {
  struct Case {
    std::string algorithm;
    Fault fault;
    int ranks_that_are_wrong;
  };
  const std::vector<Case> cases = {
      {"ring", {"recv", 1, 5, 0, 2}, 2},
      {"ring", {"recv", 1, 5, 1, 2}, 1},
      {"halving-doubling", {"recv", 0, 5, 0, 2}, 2},
      {"halving-doubling", {"recv", 0, 5, 1, 2}, 1},
      {"tree", {"recv", 0, 5, 0, 1}, 2},  // summed on rank 0, which tells rank 1
      {"tree", {"recv", 1, 5, 0, 1}, 1},
  };
  on_ranks(2, [&](GroupPtr& group) {
    for (const Case& one : cases) {
      EXPECT_EQ(wrong(group, all_reduce(2, one.algorithm), one.fault),
                kQuick.checks * one.fault.elements * one.ranks_that_are_wrong)
          << one.algorithm << ", message " << one.fault.message << " on rank "
          << one.fault.rank;
    }
  });
}

// Size S is that of the whole buffer; of all_gather and reduce_scatter, whose buffers
// are made of pieces, count is a piece's. algbw = S/t; busbw = algbw times a factor.
TEST(NcclTests, SizeCountAndBandwidthsOfEachCollective) {
  struct Rule {
    bool in_pieces;
    double (*factor)(double n);
  };
  const std::map<std::string, Rule> rules = {
      {"all_reduce", {false, [](double n) { return 2 * (n - 1) / n; }}},
      {"reduce_scatter", {true, [](double n) { return (n - 1) / n; }}},
      {"all_gather", {true, [](double n) { return (n - 1) / n; }}},
      {"broadcast", {false, [](double) { return 1.0; }}},
      {"reduce", {false, [](double) { return 1.0; }}},
  };
  ASSERT_EQ(rules.size(), collective_names().size());
  for (int ranks = 1; ranks <= 8; ++ranks) {
    on_ranks(ranks, [&](GroupPtr& group) {
      for (const auto& [name, rule] : rules) {
        const Figure figure =
            measure(*group, make_collective(name, "backend", ranks), 4000, kQuick);
        if (group->rank() != 0) continue;
        SCOPED_TRACE(name + ", ranks: " + std::to_string(ranks));
        const int64_t count = rule.in_pieces ? 1000 / ranks : 1000;
        EXPECT_EQ(figure.count, count);
        EXPECT_EQ(figure.bytes, 4 * count * (rule.in_pieces ? ranks : 1));
        const double seconds = figure.time_us / 1e6;
        const double algbw = static_cast<double>(figure.bytes) / seconds / 1e9;
        EXPECT_NEAR(figure.algbw, algbw, 1e-9 * algbw);
        EXPECT_NEAR(figure.busbw, algbw * rule.factor(ranks), 1e-9 * algbw);
        EXPECT_EQ(figure.wrong, 0);
      }
    });
  }
}

}  // namespace
}  // namespace lockstep::collectives
