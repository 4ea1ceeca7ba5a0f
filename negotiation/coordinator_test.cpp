// The coordinator by itself: what ranks say in, what all of them are told out.
#include "negotiation/coordinator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "negotiation/timeline.h"
#include "tests/error_of.h"

namespace lockstep::negotiation {
namespace {

using Names = std::vector<std::string>;
using Time = Coordinator::Clock::time_point;

Request tensor(const std::string& name, int64_t elements = 2,
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

Names names(const Response& response) {
  Names names;
  for (const ResponseTensor& one : response.tensors) names.push_back(one.request.name);
  return names;
}

// The only response.
Response only(Job& job) {
  const ResponseList list = job.coordinator.take_responses();
  EXPECT_EQ(list.responses.size(), 1U);
  return list.responses.empty() ? Response() : list.responses.front();
}

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

TEST(Coordinator, NumbersTensorsAndIsUnderstoodByNumber) {
  Job job(2);
  for (const int rank : {0, 1}) job.say(rank, {tensor("a"), tensor("b")});
  Response first = only(job);
  EXPECT_EQ(first.tensors[0].number, 0);
  EXPECT_EQ(first.tensors[1].number, 1);
  RequestList by_number;
  by_number.numbers = {false, true};
  job.coordinator.receive(0, by_number, job.now);
  job.say(1, {tensor("b")});
  Response second = only(job);
  EXPECT_EQ(second.tensors[0].number, 1);
  EXPECT_EQ(second.tensors[0].request.name, "") << "all ranks know it";
  by_number.numbers = {false, false, true};
  EXPECT_EQ(error_of([&] { job.coordinator.receive(1, by_number, job.now); }),
            "rank 1 speaks of tensor number 2, and there are 2");
}

// A rank that still calls the old one by its number has another shape than the others.
TEST(Coordinator, GivesATensorOfAnotherShapeAnotherNumber) {
  Job job(2);
  for (const int rank : {0, 1}) job.say(rank, {tensor("a", 2)});
  only(job);
  for (const int rank : {0, 1}) job.say(rank, {tensor("a", 3)});
  const Response again = only(job);
  EXPECT_EQ(again.tensors[0].number, 1);
  EXPECT_EQ(again.tensors[0].request.shape, std::vector<int64_t>{3});
  RequestList old;
  old.numbers = {true};
  job.coordinator.receive(0, old, job.now);
  job.say(1, {tensor("a", 3)});
  EXPECT_EQ(only(job).text,
            "tensor a: shape [2] on rank 0, [3] on rank 1; all ranks must submit the "
            "same");
}

TEST(Coordinator, GivesNoMoreNumbersThanTheCapacity) {
  Settings settings;
  settings.cache_capacity = 1;
  Job job(1, settings);
  job.say(0, {tensor("a"), tensor("b")});
  const Response response = only(job);
  EXPECT_EQ(response.tensors[0].number, 0);
  EXPECT_EQ(response.tensors[1].number, -1);
  EXPECT_EQ(response.tensors[1].request.name, "b");
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

// Any order on any rank, in any number of messages, by name or by number: each tensor
// of a step is answered once, and no response is larger than the threshold.
TEST(Coordinator, AnswersEachTensorOnceWhateverTheOrders) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    const int size = 2 + static_cast<int>(random() % 3);
    Settings settings;
    settings.fusion_threshold = static_cast<int64_t>(random() % 600);
    settings.cache_capacity = static_cast<int64_t>(random() % 150);
    Job job(size, settings);
    ResponseCache cache;
    std::vector<Request> all;
    for (int i = 0; i < 100; ++i) {
      all.push_back(tensor("t" + std::to_string(i), 1 + random() % 60,
                           random() % 3 == 0 ? "Double" : "Float"));
    }
    for (int step = 0; step < 2; ++step) {
      std::vector<std::vector<Request>> left(static_cast<size_t>(size), all);
      for (auto& one : left) std::shuffle(one.begin(), one.end(), random);
      std::map<std::string, int> answered;
      while (answered.size() < all.size()) {
        const size_t rank = random() % left.size();
        RequestList list;
        for (size_t n = random() % 20; n > 0 && !left[rank].empty(); --n) {
          const Request request = left[rank].back();
          left[rank].pop_back();
          const auto number = cache.number_of(request);
          if (number) {
            list.numbers.resize(static_cast<size_t>(cache.size()));
            list.numbers[static_cast<size_t>(*number)] = true;
          } else {
            list.requests.push_back(request);
          }
        }
        job.coordinator.receive(static_cast<int>(rank), list, job.now);
        if (random() % 3 != 0) continue;
        std::map<int64_t, Request> fresh;
        for (const Response& response : job.coordinator.take_responses().responses) {
          int64_t bytes = 0;
          for (const ResponseTensor& one : response.tensors) {
            const Request& request =
                one.request.name.empty() ? cache.at(one.number) : one.request;
            if (!one.request.name.empty() && one.number >= 0)
              fresh[one.number] = request;
            EXPECT_EQ(++answered[request.name], 1);
            bytes += request.bytes();
          }
          EXPECT_TRUE(response.tensors.size() == 1 ||
                      bytes <= settings.fusion_threshold);
        }
        for (const auto& [number, request] : fresh) {
          EXPECT_EQ(cache.add(request), number);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lockstep::negotiation
