#include "agent/machines.h"

#include <atomic>
#include <charconv>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "agent/aside.h"
#include "comm/own_address.h"
#include "comm/rendezvous.h"
#include "launch/listener.h"
#include "launch/process.h"
#include "membership/watch.h"

namespace lockstep::agent {
namespace {

using StorePtr = c10::intrusive_ptr<c10d::Store>;
using std::chrono::milliseconds;

// Beyond a call's own timeout: then the link is dead.
constexpr std::chrono::seconds kMargin{10};
constexpr milliseconds kPause{50};

// How an end is told to the others, at the end of its line.
const std::string kStatus = "; status ";
const std::string kFinal = " for good";

std::vector<uint8_t> bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

std::string text_at(c10d::Store& store, const std::string& key) {
  const std::vector<uint8_t> value = store.get(key);
  return {value.begin(), value.end()};
}

int number_at(c10d::Store& store, const std::string& key) {
  return store.check({key}) ? std::stoi(text_at(store, key)) : 0;
}

// The store goes with node 0's launcher, so that one is the last to leave.
// Its thread may outlive the attempt: what it needs is its own.
struct Finishing {
  StorePtr store;
  int node_rank = 0;
  int nodes = 1;
  std::atomic<bool> given_up = false;
};

void await_all_finished(Finishing& all) {
  c10d::Store& store = *all.store;
  store.add("finished", 1);
  while (store.add("finished", 0) < all.nodes) {
    if (all.given_up) return;
    std::this_thread::sleep_for(kPause);
  }
  if (all.node_rank > 0) {
    store.add("left", 1);
    return;
  }
  for (int i = 0; i < 100 && store.add("left", 0) < all.nodes - 1; ++i) {
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

// What the calls to the store need, their threads' own.
class Machines::Meeting {
 public:
  explicit Meeting(const Options& options) : nodes_(options.nodes) {
    meeting_.kind = "node";
    meeting_.rank = options.node_rank;
    meeting_.world_size = options.nodes;
    meeting_.host = options.master_addr;
    if (options.run_id != "none") meeting_.job = options.run_id;
    ranks_ = options.ranks_per_node;
  }

  // Node 0, once; it hosts the store from then on.
  int host(int port) {
    launch::Listener listener(meeting_.host, port);
    meeting_.port = listener.port();
    meeting_.listen_fd = listener.release();
    hosted_ = comm::open_store(meeting_);
    meeting_.store = hosted_;
    return meeting_.port;
  }
  void join(int port) { meeting_.port = port; }

  // Alone: nobody else's place to ask for.
  void begin_alone(int attempt) { world_.attempt = attempt; }

  void meet(milliseconds timeout) {
    watch_.reset();
    meeting_.timeout = timeout;
    if (hosted_ == nullptr) meeting_.store = comm::open_store(meeting_);
    const auto of_all =
        c10::make_intrusive<c10d::PrefixStore>("lockstep/node", meeting_.store);
    meeting_.attempt = number_at(*of_all, "next_attempt");
    store_ = comm::meet(meeting_);
    of_all->set("next_attempt", bytes(std::to_string(meeting_.attempt + 1)));
    world_ = {};
    world_.attempt = meeting_.attempt;
    share_out_ranks();
    membership::WatchOptions watch;
    watch.kind = "node";
    watch.index = meeting_.rank;
    watch.count = nodes_;
    watch.address = comm::own_address(meeting_, *store_);
    watch_ = std::make_unique<membership::Watch>(*store_, watch);
  }

  // Machines may have different numbers of ranks.
  void share_out_ranks() {
    store_->set("ranks/" + std::to_string(meeting_.rank),
                bytes(std::to_string(ranks_)));
    world_.world_size = 0;
    for (int node = 0; node < nodes_; ++node) {
      if (node == meeting_.rank) world_.rank = world_.world_size;
      world_.world_size += std::stoi(text_at(*store_, "ranks/" + std::to_string(node)));
    }
  }

  std::shared_ptr<Finishing> finishing() const {
    auto finishing = std::make_shared<Finishing>();
    finishing->store = store_;
    finishing->node_rank = meeting_.rank;
    finishing->nodes = nodes_;
    return finishing;
  }

  const World& world() const { return world_; }
  membership::Watch* watch() { return watch_.get(); }

 private:
  comm::Meeting meeting_;
  int nodes_;
  int ranks_;
  StorePtr hosted_;
  StorePtr store_;  // of the attempt
  World world_;
  std::unique_ptr<membership::Watch> watch_;
};

Machines::Machines(const Options& options, Console& console,
                   const launch::StopSignals& signals)
    : options_(options),
      console_(console),
      signals_(signals),
      port_(options.master_port),
      meeting_(std::make_shared<Meeting>(options)) {
  if (options.node_rank == 0) {
    port_ = meeting_->host(port_);
  } else {
    meeting_->join(port_);
  }
}

Machines::~Machines() = default;

World Machines::meet() {
  if (options_.nodes == 1) {
    meeting_->begin_alone(met_before_ ? meeting_->world().attempt + 1 : 0);
  } else {
    const auto timeout = met_before_ ? options_.timeout : options_.first_timeout;
    switch (do_aside([meeting = meeting_, timeout] { meeting->meet(timeout); },
                     timeout + kMargin, signals_, /*news=*/-1, console_)) {
      case Ended::done:
        break;
      case Ended::signal:
        throw Stopped{signals_.take()};
      default:
        throw std::runtime_error(
            "no answer from " + options_.master_addr + ":" + std::to_string(port_) +
            " for " + std::to_string((timeout + kMargin).count()) +
            " s, where the launcher of node 0 hosts the store; is its machine there?");
    }
    others_.fd = meeting_->watch()->fd();
    others_.fail = [this](const std::string& why, int status, bool is_final) {
      meeting_->watch()->fail(why + kStatus + std::to_string(status) +
                              (is_final ? kFinal : ""));
    };
  }
  met_before_ = true;
  World world = meeting_->world();
  if (options_.nodes == 1) world.world_size = options_.ranks_per_node;
  world.local_world_size = options_.ranks_per_node;
  world.node_rank = options_.node_rank;
  world.master_addr = options_.master_addr;
  world.master_port = port_;
  world.agent_hosts_store = true;
  return world;
}

Others& Machines::others() { return others_; }

bool Machines::learn(Outcome& outcome) {
  outcome.what = meeting_->watch()->lost();
  outcome.status = 1;
  const size_t at = outcome.what.rfind(kStatus);
  if (at == std::string::npos) return false;  // a launcher that has gone
  const std::string told = outcome.what.substr(at + kStatus.size());
  outcome.what.erase(at);
  std::from_chars(told.data(), told.data() + told.size(), outcome.status);
  return told.find(kFinal) != std::string::npos;
}

Outcome Machines::await_the_others() {
  Outcome outcome;
  if (options_.nodes == 1) return outcome;
  const auto finishing = meeting_->finishing();
  switch (do_aside([finishing] { await_all_finished(*finishing); },
                   /*deadline=*/std::nullopt, signals_, others_.fd, console_)) {
    case Ended::done:
      break;
    case Ended::signal:
      outcome.end = Outcome::End::stopped;
      outcome.status = 128 + signals_.take();
      outcome.what = "was stopped by " + launch::signal_name(outcome.status - 128) +
                     ", when its own ranks had finished";
      others_.fail(outcome.what, outcome.status, /*is_final=*/true);
      break;
    default:
      outcome.end = Outcome::End::elsewhere;
  }
  finishing->given_up = true;
  return outcome;
}

}  // namespace lockstep::agent
