// What the collectives want to know of whoever watches over the members of a job
// (membership/watch.h): who is lost, where the backend's own errors do not say.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace lockstep::comm {

class PeerWatch {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~PeerWatch() = default;

  // Who is lost, in words: "rank 2 (pid 4711 on nodeb) has gone, last step 17". Waits
  // so long for the news; empty: none. What it said once it says for ever.
  virtual std::string lost(std::chrono::milliseconds patience = {}) const = 0;

  // When whoever lost a peer shall say so: by then a peer that has an error of its own
  // has said it. Of use once somebody is lost.
  virtual Clock::time_point speaks_at() const = 0;

  // The last step that this member has taken. Called after every step: cheap.
  virtual void at_step(int64_t step) = 0;

  // This member will end by an error: it says no goodbye, the others shall notice.
  virtual void ends_badly() = 0;

  // Returns when every member has come to it; throws CommError, on all members the
  // same, naming who has not come in time.
  virtual void monitored_barrier(std::chrono::milliseconds timeout) = 0;
};
using PeerWatchPtr = std::shared_ptr<PeerWatch>;

// A collective failed. Most often a peer has gone, and that peer's own error is the one
// to read: whoever reports errors lets it speak first.
class CommError : public std::runtime_error {
 public:
  explicit CommError(const std::string& message, PeerWatchPtr held = nullptr)
      : std::runtime_error(message), held_(std::move(held)) {}

  // Null where nobody watches.
  const PeerWatchPtr& watch() const { return held_; }

 private:
  // Who lost a peer is there for the others until it has told so: they must not take it
  // for the one that went first.
  PeerWatchPtr held_;
};

// The ranks do not call the same collective, or somebody does not come to one: of a
// group that is checked (fingerprint/). All that came have the same, which names who
// differs.
class Disagreement : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace lockstep::comm
