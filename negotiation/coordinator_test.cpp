// The coordinator by itself: what ranks say in, what all of them are told out.
#include "negotiation/coordinator.h"

#include <gtest/gtest.h>

#include "tests/error_of.h"
#include "tests/negotiating.h"

namespace lockstep::negotiation {
namespace {

// What the tensor `a` of these ranks is refused by.
std::string refusal(const std::vector<Request>& of_ranks) {
  Job job(static_cast<int>(of_ranks.size()));
  for (size_t rank = 0; rank < of_ranks.size(); ++rank) {
    job.say(static_cast<int>(rank), {of_ranks[rank]});
  }
  const Response response = only(job);
  EXPECT_EQ(response.kind, Response::Kind::error);
  EXPECT_EQ(names(response), Names{"a"});
  return response.text;
}

TEST(Coordinator, AnswersWhenTheLastRankHasATensor) {
  Job job(3);
  job.say(2, {tensor("a"), tensor("b")});
  job.say(0, {tensor("b"), tensor("a")});
  EXPECT_FALSE(job.coordinator.has_responses());
  job.say(1, {tensor("b")});
  EXPECT_TRUE(job.coordinator.has_responses());
  EXPECT_EQ(names(only(job)), Names{"b"});
  EXPECT_FALSE(job.coordinator.has_responses());
  job.say(1, {tensor("a")});
  EXPECT_EQ(names(only(job)), Names{"a"});
}

TEST(Coordinator, KnowsWhenNothingMoreComes) {
  Job job(2);
  RequestList waits;
  waits.waits = true;
  job.say(0, {tensor("a")});
  job.coordinator.receive(0, waits, job.now);
  EXPECT_FALSE(job.coordinator.all_wait());
  waits.requests = {tensor("a")};
  job.coordinator.receive(1, waits, job.now);
  EXPECT_TRUE(job.coordinator.all_wait());
  job.say(1, {tensor("b")});
  EXPECT_FALSE(job.coordinator.all_wait());
  job.join(1);
  EXPECT_TRUE(job.coordinator.all_wait());
  job.say(0, {tensor("c")});
  EXPECT_FALSE(job.coordinator.all_wait());
}

// Some of what a rank waits for is answered: it waits for the rest.
TEST(Coordinator, KnowsWhoStillWaitsAfterADecision) {
  Job job(2);
  RequestList waits;
  waits.waits = true;
  job.say(0, {tensor("a"), tensor("b")});
  job.coordinator.receive(0, waits, job.now);
  job.say(1, {tensor("a")});
  EXPECT_EQ(names(only(job)), Names{"a"});
  waits.requests = {tensor("b")};
  job.coordinator.receive(1, waits, job.now);
  EXPECT_TRUE(job.coordinator.all_wait());
  EXPECT_EQ(names(only(job)), Names{"b"});
}

TEST(Coordinator, FusesInTheOrderOfReadiness) {
  Job job(2);
  job.say(0, {tensor("a"), tensor("b"), tensor("c")});
  job.say(1, {tensor("c"), tensor("a"), tensor("b")});
  EXPECT_EQ(names(only(job)), (Names{"c", "a", "b"}));
}

TEST(Coordinator, FusesWhatIsOfOneTypeAndOperation) {
  Job job(1);
  Request sum = tensor("sum");
  sum.op = ReduceOp::sum;
  Request sent = tensor("sent");
  sent.operation = Operation::broadcast;
  Request sent_too = sent;
  sent_too.name = "sent too";
  job.say(0, {tensor("a"), tensor("wide", 2, "Double"), sum, tensor("b"), sent,
              tensor("wide too", 2, "Double"), sent_too});
  std::vector<Names> fused;
  for (const Response& response : job.coordinator.take_responses().responses) {
    fused.push_back(names(response));
  }
  EXPECT_EQ(fused,
            (std::vector<Names>{
                {"a", "b"}, {"wide", "wide too"}, {"sum"}, {"sent", "sent too"}}));
}

std::vector<Names> fused_up_to(int64_t threshold) {
  Settings settings;
  settings.fusion_threshold = threshold;
  Job job(1, settings);
  job.say(0, {tensor("a", 2), tensor("b", 3), tensor("c", 1), tensor("d", 9),
              tensor("e", 1)});
  std::vector<Names> fused;
  for (const Response& response : job.coordinator.take_responses().responses) {
    fused.push_back(names(response));
  }
  return fused;
}

TEST(Coordinator, FusesUpToTheThreshold) {
  EXPECT_EQ(fused_up_to(24), (std::vector<Names>{{"a", "b", "c"}, {"d"}, {"e"}}));
  EXPECT_EQ(fused_up_to(23), (std::vector<Names>{{"a", "b"}, {"c"}, {"d"}, {"e"}}));
  EXPECT_EQ(fused_up_to(0), (std::vector<Names>{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}}));
  EXPECT_EQ(fused_up_to(1000).size(), 1U);
  Settings none;
  none.fusion_threshold = 0;
  Job job(1, none);
  job.say(0, {tensor("a", 0), tensor("b", 0)});
  EXPECT_EQ(job.coordinator.take_responses().responses.size(), 2U) << "empty ones, too";
}

TEST(Coordinator, RefusesWhatDiffersBetweenRanks) {
  EXPECT_EQ(refusal({tensor("a", 2), tensor("a", 3), tensor("a", 2)}),
            "tensor a: shape [2] on ranks 0, 2, [3] on rank 1; all ranks must submit "
            "the same");
  EXPECT_EQ(refusal({tensor("a"), tensor("a", 2, "Double")}),
            "tensor a: type Float on rank 0, Double on rank 1; all ranks must submit "
            "the same");
  Request sum = tensor("a");
  sum.op = ReduceOp::sum;
  EXPECT_EQ(refusal({tensor("a"), sum}),
            "tensor a: op average on rank 0, sum on rank 1; all ranks must submit the "
            "same");
  Request sent = tensor("a");
  sent.operation = Operation::broadcast;
  EXPECT_EQ(refusal({sent, tensor("a")}),
            "tensor a: operation broadcast on rank 0, allreduce on rank 1; all ranks "
            "must submit the same");
  Request sent_by_1 = sent;
  sent_by_1.root_rank = 1;
  EXPECT_EQ(refusal({sent, sent_by_1}),
            "tensor a: root rank 0 on rank 0, 1 on rank 1; all ranks must submit the "
            "same");
  sent_by_1.root_rank = 5;
  EXPECT_EQ(refusal({sent_by_1, sent_by_1}),
            "tensor a: root rank 5, and ranks end at 1");
}

TEST(Coordinator, RefusesATensorThatARankHasTwice) {
  Job job(2);
  job.say(1, {tensor("a")});
  job.say(1, {tensor("a")});
  EXPECT_FALSE(job.coordinator.has_responses()) << "until the others wait for it, too";
  job.say(0, {tensor("a")});
  const Response response = only(job);
  EXPECT_EQ(response.kind, Response::Kind::error);
  EXPECT_EQ(response.text.rfind("tensor a: rank 1 submitted it 2 times", 0), 0U)
      << response.text;
  EXPECT_EQ(response.times, (std::vector<int64_t>{1, 2}));
  job.say(0, {tensor("a")});
  job.say(1, {tensor("a")});
  EXPECT_EQ(only(job).kind, Response::Kind::allreduce) << "forgotten afterwards";
}

// The other tensors of that cycle are none the worse for it.
TEST(Coordinator, RefusesOneTensorAlone) {
  Job job(2);
  job.say(0, {tensor("a"), tensor("b", 2), tensor("c")});
  job.say(1, {tensor("a"), tensor("b", 3), tensor("c")});
  const ResponseList list = job.coordinator.take_responses();
  ASSERT_EQ(list.responses.size(), 2U);
  EXPECT_EQ(names(list.responses[0]), (Names{"a", "c"}));
  EXPECT_EQ(names(list.responses[1]), Names{"b"});
  EXPECT_EQ(list.fatal, "");
}

TEST(Coordinator, TakesAJoinedRankForReady) {
  Job job(3);
  job.say(0, {tensor("a"), tensor("b")});
  job.say(2, {tensor("b")});
  job.join(1);
  EXPECT_EQ(names(only(job)), Names{"b"});
  job.say(2, {tensor("a")});
  EXPECT_EQ(names(only(job)), Names{"a"});
  Request sent = tensor("sent");
  sent.operation = Operation::broadcast;
  job.say(0, {sent});
  job.say(2, {sent});
  EXPECT_EQ(
      only(job).text,
      "tensor sent: a broadcast, and rank 1 has joined; broadcast before any rank "
      "has no more data");
  job.join(2);
  EXPECT_FALSE(job.coordinator.has_responses());
  job.join(0);
  const Response response = only(job);
  EXPECT_EQ(response.kind, Response::Kind::join);
  EXPECT_EQ(response.rank, 0);
  job.say(0, {tensor("a")});
  EXPECT_FALSE(job.coordinator.has_responses()) << "nobody is joined any more";
}

TEST(Coordinator, WarnsOfWhatWaitsAndEndsTheRun) {
  Settings settings;
  settings.stall_warning = Seconds(10);
  settings.stall_shutdown = Seconds(20);
  Job job(3, settings);
  EXPECT_FALSE(job.coordinator.inspection_due().has_value());
  job.say(0, {tensor("b"), tensor("a")});
  job.say(2, {tensor("b")});
  EXPECT_EQ(job.coordinator.inspection_due(), job.now + std::chrono::seconds(10));
  const std::string warning =
      job.coordinator.inspect(job.now + std::chrono::seconds(10));
  EXPECT_NE(warning.find("rank 1 has not submitted b; ranks 1, 2 have not submitted a"),
            std::string::npos)
      << warning;
  EXPECT_FALSE(job.coordinator.has_responses());
  job.coordinator.inspect(job.now + std::chrono::seconds(20));
  const ResponseList list = job.coordinator.take_responses();
  EXPECT_NE(list.fatal.find("rank 1 has not submitted b"), std::string::npos);
  EXPECT_TRUE(list.responses.empty());
}

TEST(Coordinator, TellsWhoShutsDown) {
  Job job(2);
  RequestList list;
  list.shutdown = true;
  job.coordinator.receive(1, list, job.now);
  job.coordinator.receive(0, list, job.now);
  EXPECT_EQ(job.coordinator.take_responses().shutdown_by, 1);
}

}  // namespace
}  // namespace lockstep::negotiation
