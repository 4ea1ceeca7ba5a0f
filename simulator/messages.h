// Messages from one rank to another, matched in the order of calls. A message begins to
// move when both have called, send and recv, and takes latency + bytes / bandwidth; a
// card sends one at a time and receives one at a time, and may do both at once.
//
// So a send is over when the message has been taken: ranks that all send first and
// wait for that, before anybody receives, wait for ever.
#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "predict/cluster.h"
#include "predict/queue_line.h"
#include "simulator/simulation.h"
#include "simulator/work.h"

namespace lockstep::simulator {

class Messages {
 public:
  Messages(Clock& clock, const predict::Cluster& cluster, std::vector<Span>& spans);

  WorkPtr send(int from, int to, const at::Tensor& tensor);
  WorkPtr recv(int from, int to, const at::Tensor& tensor);

  // What was sent or waited for in vain, in words; empty: nothing.
  std::string unfinished() const;

 private:
  struct End {  // of a message: the sender's or the receiver's
    at::Tensor tensor;
    double at_s = 0;
    std::vector<char> bytes;  // the sender's, as they were
    WorkPtr work;
  };
  using Pair = std::pair<int, int>;  // from, to
  struct Ends {
    std::deque<End> sent, awaited;
  };

  WorkPtr add(const Pair& pair, const at::Tensor& tensor, bool is_send);
  void move(const Pair& pair);
  void arrive(const Pair& pair, const End& sent, const End& awaited, double begin_s);
  double seconds(const Pair& pair, double bytes) const;

  Clock& clock_;
  const predict::Cluster cluster_;
  std::vector<Span>& spans_;
  std::map<Pair, Ends> waiting_;
  std::vector<predict::QueueLine> out_, in_;  // of each rank
};

}  // namespace lockstep::simulator
