// What NCCL's watchdog alone has seen ends the step, in one line. (On a backend of the
// test's own.)
#include <gtest/gtest.h>

#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "comm/process_group.h"

namespace lockstep::comm {
namespace {

class Watched final : public c10d::Backend {
 public:
  explicit Watched(std::string name) : Backend(/*rank=*/1, /*size=*/2), name_(name) {}
  const std::string getBackendName() const override { return name_; }
  c10d::ErrorType getError() override { return error; }

  c10d::ErrorType error = c10d::ErrorType::SUCCESS;

 private:
  std::string name_;
};

std::string error_at_step(const std::string& backend, c10d::ErrorType error) {
  const auto watched = c10::make_intrusive<Watched>(backend);
  ProcessGroup group(watched, at::Device(at::kCUDA, 0));
  group.at_step(1);
  watched->error = error;
  try {
    group.at_step(2);
  } catch (const CommError& thrown) {
    return thrown.what();
  }
  return "";
}

TEST(Watchdog, WhatItSawEndsTheStep) {
  EXPECT_EQ(error_at_step("nccl", c10d::ErrorType::SUCCESS), "");
  EXPECT_EQ(error_at_step("nccl", c10d::ErrorType::TIMEOUT),
            "rank 1: a collective on cuda:0 was not over in time, a peer has probably "
            "gone: NCCL's watchdog waited for --timeout");
  EXPECT_EQ(error_at_step("nccl", c10d::ErrorType::COMM_ERROR),
            "rank 1: a collective on cuda:0 failed, a peer has probably gone: NCCL's "
            "watchdog says no more");
}

TEST(Watchdog, OtherBackendsHaveNone) {
  EXPECT_EQ(error_at_step("gloo", c10d::ErrorType::TIMEOUT), "");
}

}  // namespace
}  // namespace lockstep::comm
