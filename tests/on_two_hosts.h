// Tests on two hosts, which a suite builds once; waived by name where there can be
// none.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

#include "emulation/hosts.h"

namespace lockstep {

// A suite of such tests calls build() from its own SetUpTestSuite().
class OnTwoHosts : public testing::Test {
 protected:
  // `tests`: what is waived, "tests/multinode".
  static void build(const std::string& tests) {
    const std::string reason = emulation::Hosts::cannot();
    if (reason.empty()) {
      hosts_ = std::make_unique<emulation::Hosts>(2);
    } else {
      std::printf("WAIVED: %s (two hosts): %s\n", tests.c_str(), reason.c_str());
    }
  }
  static void TearDownTestSuite() { hosts_.reset(); }
  void SetUp() override {
    if (hosts_ == nullptr) GTEST_SKIP() << "waived: no two hosts here";
  }

  static inline std::unique_ptr<emulation::Hosts> hosts_;
};

}  // namespace lockstep
