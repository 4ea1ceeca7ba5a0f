#include "comm/sigpipe_blocked.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "launch/fd.h"

namespace lockstep::comm {
namespace {

bool pending() {
  sigset_t signals;
  sigpending(&signals);
  return sigismember(&signals, SIGPIPE) == 1;
}

// The program would end here without a word.
TEST(SigpipeBlocked, WhatCameMeanwhileDoesNotComeAfterwards) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const launch::Fd write_end(ends[1]);
  close(ends[0]);
  {
    const SigpipeBlocked blocked;
    EXPECT_EQ(write(write_end.get(), "x", 1), -1);
    EXPECT_EQ(errno, EPIPE);
    EXPECT_TRUE(pending());
  }
  EXPECT_FALSE(pending());
}

TEST(SigpipeBlocked, WhoBlockedItBeforeStillDoes) {
  const SigpipeBlocked outer;
  raise(SIGPIPE);
  { const SigpipeBlocked inner; }
  EXPECT_TRUE(pending()) << "the outer one's to take";
}

}  // namespace
}  // namespace lockstep::comm
