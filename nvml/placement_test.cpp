#include "nvml/placement.h"

#include <gtest/gtest.h>

namespace lockstep::nvml {
namespace {

constexpr int64_t kMiB = 1 << 20;

TEST(PlacementTest, ARanksCardHasItsBytesAndAnotherDeviceIsStray) {
  const Placement found =
      placement({{0, 412 * kMiB}, {1, 900 * kMiB}, {3, {}}}, {1}, 1, 4711);
  ASSERT_EQ(found.card_bytes.size(), 1U);
  EXPECT_EQ(found.card_bytes[0], 900 * kMiB);
  EXPECT_EQ(found.stray_contexts,
            (std::vector<std::string>{
                "rank 1 (pid 4711) holds 412 MiB on cuda:0, which is not its card: a "
                "stray context; put its CardScope before the first call that touches "
                "CUDA",
                "rank 1 (pid 4711) holds memory on cuda:3, which is not its card: a "
                "stray context; put its CardScope before the first call that touches "
                "CUDA"}));
}

TEST(PlacementTest, DataParallelsCardsAreAllItsOwn) {
  const Placement found = placement({{0, 10}, {1, {}}}, {0, 0, 1}, 0, 4711);
  EXPECT_EQ(found.card_bytes,
            (std::vector<std::optional<int64_t>>{10, 10, std::nullopt}));
  EXPECT_TRUE(found.stray_contexts.empty());
}

TEST(PlacementTest, WhoIsNotListedHasNoBytes) {
  const Placement found = placement({}, {0}, 0, 4711);
  EXPECT_EQ(found.card_bytes, std::vector<std::optional<int64_t>>{std::nullopt});
  EXPECT_TRUE(found.stray_contexts.empty());
}

}  // namespace
}  // namespace lockstep::nvml
