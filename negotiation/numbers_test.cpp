// How tensors get numbers and are submitted by them, and how the coordinator answers
// whatever the order.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/error_of.h"
#include "tests/negotiating.h"

namespace lockstep::negotiation {
namespace {

TEST(Numbers, NumbersTensorsAndIsUnderstoodByNumber) {
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
TEST(Numbers, GivesATensorOfAnotherShapeAnotherNumber) {
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

TEST(Numbers, GivesNoMoreNumbersThanTheCapacity) {
  Settings settings;
  settings.cache_capacity = 1;
  Job job(1, settings);
  job.say(0, {tensor("a"), tensor("b")});
  const Response response = only(job);
  EXPECT_EQ(response.tensors[0].number, 0);
  EXPECT_EQ(response.tensors[1].number, -1);
  EXPECT_EQ(response.tensors[1].request.name, "b");
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
