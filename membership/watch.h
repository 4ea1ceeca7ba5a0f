// A heartbeat beside a job's work: every member soon knows who of the others died,
// stopped or cannot be reached any more, whatever it is doing itself, and can say who,
// where, and at which step.
//
// Note [A star of heartbeats]
// Every member is connected to member 0 by TCP and has one thread that sends a beat
// each half second. A connection that ends without a goodbye is a member that has gone;
// one that stays silent is a member that was stopped or is out of reach. Member 0
// judges the others and tells all of them its verdict; the others judge member 0 alone.
// The first verdict stays: what is lost afterwards is lost because of it. A star needs
// one connection a member where all to all needs the square, and one judge is of one
// opinion.
//
// Note [Looks, and not time]
// A member is judged by how often the judge looked and found nothing new of it. Where
// the judge itself stood still (stopped, starved, its whole machine asleep) it did not
// look, and what came meanwhile is read before anybody is judged.
//
// A member is a rank of a job, or whatever else there is one of in each of several
// places. Not here: what is to be done about a loss.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "comm/peer_watch.h"

namespace lockstep::membership {

class Member;

struct WatchOptions {
  std::string kind = "rank";  // what a member is called
  int index = 0;
  int count = 1;
  // This machine's, at which the others reach it (comm/own_address.h). Member 0 listens
  // there, until all have come.
  std::string address = "127.0.0.1";
  std::string key = "watch";  // in the store; another one for another watch of the job
  // For all to come: they are there already, and on their way.
  std::chrono::milliseconds timeout = std::chrono::seconds(15);

  std::chrono::milliseconds beat{500};
  int looks = 6;

  // Called once, on the watch's own thread, if this member is still there some moments
  // after it should have said itself who is lost: it hangs.
  std::function<void(const std::string& verdict)> last_words;
  // Members of one host speak in turn, from 0: the first one's end may end the others.
  int turn = 0;
};

class Watch final : public comm::PeerWatch {
 public:
  // Collective; over a store that all members see. Throws std::runtime_error naming who
  // did not come.
  Watch(c10d::Store& store, const WatchOptions& options);
  // Says goodbye, unless an exception is under way or this member ends_badly(): then
  // the others find it gone.
  ~Watch() override;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  std::string lost(std::chrono::milliseconds patience = {}) const override;
  // Readable, for poll(), once there is a verdict. Only to be polled.
  int fd() const;
  Clock::time_point speaks_at() const override;

  void at_step(int64_t step) override;
  void ends_badly() override;
  void monitored_barrier(std::chrono::milliseconds timeout) override;

  // This member gives up, and the others' verdict is "node 1: <why>".
  void fail(const std::string& why);

 private:
  std::unique_ptr<Member> member_;
};

}  // namespace lockstep::membership
