// Carries the negotiation's messages: every rank has a connection to rank 0, as in a
// star. Beside the process group, whose collectives all ranks must call: here each
// speaks when it has something to say, and who has nothing sleeps in the kernel. And
// a wait ends at once when this rank's own threads have something new.
//
// Not here: what the messages say (messages.h), or who died (the group's watch).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

namespace lockstep::horovod {

class FramedSocket;

class Controller {
 public:
  using Clock = std::chrono::steady_clock;

  struct Message {
    int rank = 0;  // who sent it
    std::string bytes;
  };

  // Collective, over a store that all ranks see; rank 0 listens at its `address` until
  // all have come. Throws std::runtime_error naming who did not.
  Controller(c10d::Store& store, int rank, int size, const std::string& address,
             std::chrono::milliseconds timeout);
  ~Controller();  // closes the connections, and waits for nobody
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // From rank 0 to all others, from them to rank 0. One thread, as wait() below.
  void send(const std::string& bytes);

  // What has come: waits for it until then (nullopt: for ever), or for wake(). Throws
  // std::runtime_error where a connection has ended.
  std::vector<Message> wait(std::optional<Clock::time_point> until);

  // Any thread: the wait under way, or the next one, ends.
  void wake() const;

 private:
  const int rank_;
  const int size_;
  int wake_fd_ = -1;
  std::vector<std::unique_ptr<FramedSocket>> sockets_;
  std::vector<int> ranks_;  // at the other end of each
  std::vector<Message> early_;
};

}  // namespace lockstep::horovod
