// A coordinator whose ranks and clock are the test's. For tests alone.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "negotiation/coordinator.h"
#include "negotiation/timeline.h"

namespace lockstep::negotiation {

using Names = std::vector<std::string>;
using Time = Coordinator::Clock::time_point;

inline Request tensor(const std::string& name, int64_t elements = 2,
                      const std::string& dtype = "Float") {
  Request request;
  request.name = name;
  request.dtype = dtype;
  request.element_bytes = dtype == "Double" ? 8 : 4;
  request.shape = {elements};
  return request;
}

// A coordinator, and the clock that is the test's.
struct Job {
  explicit Job(int size, const Settings& settings = {})
      : coordinator(size, settings, timeline) {}

  void say(int rank, const std::vector<Request>& requests) {
    RequestList list;
    list.requests = requests;
    coordinator.receive(rank, list, now);
  }
  void join(int rank) {
    RequestList list;
    list.joined = true;
    coordinator.receive(rank, list, now);
  }

  Timeline timeline;
  Coordinator coordinator;
  Time now{};
};

inline Names names(const Response& response) {
  Names names;
  for (const ResponseTensor& one : response.tensors) names.push_back(one.request.name);
  return names;
}

// The only response.
inline Response only(Job& job) {
  const ResponseList list = job.coordinator.take_responses();
  EXPECT_EQ(list.responses.size(), 1U);
  return list.responses.empty() ? Response() : list.responses.front();
}

}  // namespace lockstep::negotiation
