#include "predict/step_time.h"

#include <gtest/gtest.h>

#include "predict/fit.h"

namespace lockstep::predict {
namespace {

// Ten gradients of 1 MB, one every 10 ms; a link on which a bucket of 1 MB takes 8 ms.
CardStep card() {
  CardStep card;
  card.data_s = 0.001;
  card.forward_s = 0.05;
  card.backward_s = 0.1;
  card.optimizer_s = 0.002;
  for (int i = 1; i <= 10; ++i) card.gradients.push_back({0.01 * i, 1e6});
  return card;
}
constexpr double kAlone = 0.001 + 0.05 + 0.1 + 0.002;

Cluster two_cards() {
  Cluster cluster;
  cluster.inside = {0, 0.125e9};  // a ring of two sends all bytes once
  return cluster;
}

Buckets a_parameter_each() { return {/*first_bytes=*/0, /*cap_bytes=*/0}; }

TEST(StepTime, OneCardCommunicatesWithNobody) {
  for (const bool overlap : {true, false}) {
    const StepTime step =
        ddp_step(card(), {1 << 20, 25 << 20, overlap}, two_cards(), 1);
    EXPECT_DOUBLE_EQ(step.seconds, kAlone);
    EXPECT_DOUBLE_EQ(step.exposed_s, 0);
  }
  EXPECT_DOUBLE_EQ(
      data_parallel_step(card(), {1e6, 1e6, 1e6}, two_cards(), 1, false).seconds,
      kAlone);
}

TEST(StepTime, AQuickLinkLeavesTheLastBucketAloneInSight) {
  const StepTime step = ddp_step(card(), a_parameter_each(), two_cards(), 2);
  ASSERT_EQ(step.buckets.size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(step.buckets[i].ready_s, 0.01 * static_cast<double>(i + 1), 1e-12);
    EXPECT_NEAR(step.buckets[i].begin_s, step.buckets[i].ready_s, 1e-12);
    EXPECT_NEAR(step.buckets[i].end_s, step.buckets[i].ready_s + 0.008, 1e-12);
  }
  EXPECT_NEAR(step.exposed_s, 0.008, 1e-12);
  EXPECT_NEAR(step.seconds, kAlone + 0.008, 1e-12);
}

TEST(StepTime, ASlowLinkIsWaitedForFromTheFirstBucketOn) {
  Cluster slow = two_cards();
  slow.inside.bytes_per_s /= 2;  // 16 ms a bucket, and one every 10 ms
  const StepTime step = ddp_step(card(), a_parameter_each(), slow, 2);
  EXPECT_NEAR(step.buckets.back().end_s, 0.01 + 10 * 0.016, 1e-12);
  EXPECT_NEAR(step.exposed_s, 0.07, 1e-12);
}

TEST(StepTime, WithoutOverlapAllOfItIsExposed) {
  const StepTime step = ddp_step(card(), {0, 0, /*overlap=*/false}, two_cards(), 2);
  EXPECT_NEAR(step.buckets.front().begin_s, 0.1, 1e-12);
  EXPECT_NEAR(step.exposed_s, 0.08, 1e-12);
}

// 0.01 s until the first bucket; beside it half of 8 ms is done, 6 ms remain of the
// second; and so on: 14 ms a bucket.
TEST(StepTime, ContentionSlowsBackwardWhileACollectiveIsUnderWay) {
  Cluster cluster = two_cards();
  cluster.contention = 0.5;
  const StepTime step = ddp_step(card(), a_parameter_each(), cluster, 2);
  EXPECT_NEAR(step.buckets[1].ready_s, 0.01 + 0.014, 1e-12);
  EXPECT_NEAR(step.buckets[9].ready_s, 0.01 + 9 * 0.014, 1e-12);
  EXPECT_NEAR(step.exposed_s, 0.008, 1e-12);
}

TEST(StepTime, StagingIsBesideOtherCollectivesAndNotFree) {
  Cluster cluster = two_cards();
  cluster.staging_bytes_per_s = 1e9;  // 1 ms a bucket, out and back
  const StepTime step = ddp_step(card(), a_parameter_each(), cluster, 2);
  EXPECT_NEAR(step.buckets[3].begin_s, step.buckets[3].ready_s + 0.001, 1e-12);
  EXPECT_NEAR(step.exposed_s, 0.010, 1e-12);
}

TEST(StepTime, CardsThatShareCoresTakeSoManyTimesAsLong) {
  CardStep one = card();
  one.add_s = 0.003;
  const CardStep crowded = slowed(one, 2);
  const Buckets none_of_note = a_parameter_each();
  EXPECT_NEAR(ddp_step(crowded, none_of_note, two_cards(), 1).seconds, 2 * kAlone,
              1e-12);
  // A gradient every 20 ms now, and the link as before.
  const StepTime two = ddp_step(crowded, none_of_note, two_cards(), 2);
  EXPECT_NEAR(two.buckets[4].ready_s, 0.1, 1e-12);
  EXPECT_NEAR(two.seconds, 2 * kAlone + 0.008, 1e-12);
  EXPECT_DOUBLE_EQ(crowded.add_s, 0.006);
}

TEST(StepTime, ThePrimaryCardAddsWhatArrives) {
  CardStep one = card();
  one.add_s = 0.003;
  const auto seconds = [&](int cards, bool tree) {
    return data_parallel_step(one, {}, two_cards(), cards, tree).seconds -
           data_parallel_step(card(), {}, two_cards(), cards, tree).seconds;
  };
  EXPECT_NEAR(seconds(4, /*tree=*/false), 3 * 0.003, 1e-12);
  EXPECT_NEAR(seconds(4, /*tree=*/true), 2 * 0.003, 1e-12);
}

TEST(StepTime, BucketsFillAsPyTorchs) {
  const StepTime step = ddp_step(card(), {1.5e6, 3.5e6}, two_cards(), 2);
  std::vector<double> bytes;
  for (const BucketTimes& bucket : step.buckets) bytes.push_back(bucket.bytes);
  EXPECT_EQ(bytes, (std::vector<double>{2e6, 4e6, 4e6}));
  EXPECT_NEAR(step.buckets[0].ready_s, 0.02, 1e-12);
}

TEST(StepTime, ARingCrossesHostsOnceAndSharesTheirLinks) {
  Cluster cluster;
  cluster.cards_per_host = 2;
  cluster.inside = {0, 10e9};
  cluster.between = {0, 1e9};
  EXPECT_NEAR(all_reduce_s(cluster, 2, 1e9), 0.1, 1e-12);
  EXPECT_NEAR(all_reduce_s(cluster, 4, 1e9), 1.5, 1e-12);
  cluster.links_per_host = 4;
  EXPECT_NEAR(all_reduce_s(cluster, 4, 1e9), 0.375, 1e-12);
}

TEST(StepTime, ManyCardsWithLittleToSayTakeATree) {
  Cluster cluster;
  cluster.cards_per_host = 1024;
  cluster.inside = {1e-6, 1e9};
  EXPECT_NEAR(all_reduce_s(cluster, 1024, 1000), 2 * (10 * 1e-6 + 1e-6), 1e-12);
  EXPECT_LE(all_reduce_s(cluster, 1024, 1e9), 2.1);
}

// 4 cards: the primary one's link carries three pieces and replicas (0.1 s each), three
// outputs, three gradients of outputs, and three times all gradients.
TEST(StepTime, DataParallelsPrimaryCardIsAQueue) {
  Cluster cluster;
  cluster.inside = {0, 1e8};
  CardStep step = card();
  step.gradients = {{0.1, 8e6}};
  const DataParallelBytes bytes{/*input=*/2e6, /*outputs=*/1e6, /*parameters=*/8e6};
  const double data = 0.004, last_piece = data + 0.3,
               gathered = last_piece + 0.05 + 0.01;
  const double last_backward = gathered + 0.03 + 0.1;
  const double first_backward = gathered + 0.01 + 0.1;
  const double serial =
      std::max(first_backward + 3 * 0.08, last_backward + 0.08) + 0.002;
  EXPECT_NEAR(data_parallel_step(step, bytes, cluster, 4, /*tree=*/false).seconds,
              serial, 1e-12);
  EXPECT_NEAR(data_parallel_step(step, bytes, cluster, 4, /*tree=*/true).seconds,
              last_backward + 2 * 0.08 + 0.002, 1e-12);
}

TEST(Fit, FindsTheClusterThatWasMeasured) {
  Cluster truth = two_cards();
  truth.inside = {50e-6, 3e8};
  truth.call_s = 0;
  std::vector<Measured> measured;
  for (const double bytes : {1e3, 1e5, 1e7}) {
    measured.push_back(
        {[bytes](const Cluster& cluster) { return all_reduce_s(cluster, 4, bytes); },
         all_reduce_s(truth, 4, bytes)});
  }
  Cluster guess = two_cards();
  guess.inside = {10e-6, 1e9};
  const Cluster found = fit(guess, measured);
  EXPECT_NEAR(found.inside.latency_s / truth.inside.latency_s, 1, 0.01);
  EXPECT_NEAR(found.inside.bytes_per_s / truth.inside.bytes_per_s, 1, 0.01);
  EXPECT_EQ(found.contention, 0);
}

TEST(Link, IsKnownByName) {
  EXPECT_GT(link_named("100gbit").bytes_per_s, 9 * link_named("10gbit").bytes_per_s);
  try {
    link_named("carrier-pigeon");
    FAIL() << "accepted";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("nvlink"), std::string::npos);
  }
}

}  // namespace
}  // namespace lockstep::predict
