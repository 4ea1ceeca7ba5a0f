// Looking for descendants while others start and end: what is read of a process may be
// gone before it was read. Here the others are a guard's, so nobody is ended.
#include "agent/descendants.h"

#include <gtest/gtest.h>

#include "launch/process.h"

namespace lockstep::agent {
namespace {

TEST(Descendants, AreLookedForWhileOthersEnd) {
  launch::Command command;
  command.argv = {"sh", "-c", "while :; do (:) & (:) & (:) & wait; done"};
  launch::Process guard(command);
  for (int i = 0; i < 2000; ++i) ASSERT_NO_THROW(end_unguarded({guard.pid()})) << i;
  EXPECT_FALSE(guard.wait_for(std::chrono::milliseconds(0)).has_value());
}

}  // namespace
}  // namespace lockstep::agent
