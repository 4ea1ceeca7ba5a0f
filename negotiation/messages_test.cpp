// What is written is read back the same; what nobody wrote is refused, and nothing
// worse comes of it.
#include "negotiation/messages.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <stdexcept>

#include "tests/error_of.h"

namespace lockstep::negotiation {
namespace {

Request some_request(std::mt19937& random) {
  Request request;
  request.name = "gradient." + std::to_string(random() % 1000) + ".weight";
  request.operation = static_cast<Operation>(random() % 2);
  request.op = static_cast<ReduceOp>(random() % 2);
  request.root_rank = static_cast<int>(random() % 4);
  request.dtype = random() % 2 == 0 ? "Float" : "Double";
  request.element_bytes = request.dtype == "Float" ? 4 : 8;
  for (size_t d = random() % 4; d > 0; --d) {
    request.shape.push_back(static_cast<int64_t>(random() % 300));
  }
  return request;
}

RequestList some_requests(std::mt19937& random) {
  RequestList list;
  list.numbers.resize(8 * (random() % 20));
  for (size_t i = 0; i < list.numbers.size(); ++i) list.numbers[i] = random() % 2 == 0;
  for (size_t i = random() % 5; i > 0; --i)
    list.requests.push_back(some_request(random));
  list.joined = random() % 2 == 0;
  list.shutdown = random() % 2 == 0;
  list.waits = random() % 2 == 0;
  return list;
}

ResponseList some_responses(std::mt19937& random) {
  ResponseList list;
  for (size_t i = random() % 5; i > 0; --i) {
    Response response;
    response.kind = static_cast<Response::Kind>(random() % 4);
    size_t tensors = 1 + random() % 6;
    if (response.kind == Response::Kind::join) tensors = 0;
    if (response.kind == Response::Kind::error) tensors = 1;
    for (size_t t = 0; t < tensors; ++t) {
      ResponseTensor tensor{static_cast<int64_t>(random() % 1000), {}};
      if (random() % 2 == 0) tensor.request = some_request(random);
      response.tensors.push_back(tensor);
    }
    if (response.kind >= Response::Kind::join) {
      response.text = "tensor a: strange";
      response.times = {1, 0, 2};
      response.rank = static_cast<int>(random() % 3);
    }
    list.responses.push_back(response);
  }
  list.shutdown_by = static_cast<int>(random() % 4) - 1;
  if (random() % 3 == 0) list.fatal = "stalled";
  return list;
}

void expect_equal(const RequestList& a, const RequestList& b) {
  EXPECT_EQ(a.numbers, b.numbers);
  EXPECT_EQ(a.requests, b.requests);
  EXPECT_EQ(a.joined, b.joined);
  EXPECT_EQ(a.shutdown, b.shutdown);
  EXPECT_EQ(a.waits, b.waits);
}

void expect_equal(const ResponseList& a, const ResponseList& b) {
  ASSERT_EQ(a.responses.size(), b.responses.size());
  for (size_t i = 0; i < a.responses.size(); ++i) {
    const Response& x = a.responses[i];
    const Response& y = b.responses[i];
    EXPECT_EQ(x.kind, y.kind);
    EXPECT_EQ(x.text, y.text);
    EXPECT_EQ(x.times, y.times);
    EXPECT_EQ(x.rank, y.rank);
    ASSERT_EQ(x.tensors.size(), y.tensors.size());
    for (size_t t = 0; t < x.tensors.size(); ++t) {
      EXPECT_EQ(x.tensors[t].number, y.tensors[t].number);
      EXPECT_EQ(x.tensors[t].request, y.tensors[t].request);
    }
  }
  EXPECT_EQ(a.shutdown_by, b.shutdown_by);
  EXPECT_EQ(a.fatal, b.fatal);
}

TEST(Messages, AreReadAsTheyWereWritten) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    const RequestList requests = some_requests(random);
    expect_equal(read_requests(write(requests)), requests);
    const ResponseList responses = some_responses(random);
    expect_equal(read_responses(write(responses)), responses);
  }
}

// A step of 160 tensors that are known costs a rank so few bytes.
TEST(Messages, OfKnownTensorsAreABitEach) {
  RequestList list;
  list.numbers.assign(160, true);
  EXPECT_LE(write(list).size(), 32U);
}

// Cut, or with a byte changed: read as something else, perhaps, or refused by the one
// kind of error; under AddressSanitizer no byte beyond is touched.
TEST(Messages, ThatWereDamagedAreReadOrRefused) {
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string bytes =
        i % 2 == 0 ? write(some_requests(random)) : write(some_responses(random));
    if (i % 3 == 0) bytes.resize(random() % bytes.size());
    for (size_t changes = random() % 4; changes > 0 && !bytes.empty(); --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    for (const bool requests : {true, false}) {
      try {
        if (requests) {
          read_requests(bytes);
        } else {
          read_responses(bytes);
        }
      } catch (const std::runtime_error& error) {
        ++refused;
        EXPECT_EQ(std::string(error.what()).rfind("not a message of Horovod's", 0), 0U)
            << error.what();
      }
    }
  }
  EXPECT_GT(refused, 2000);
}

// Each byte opens another list inside the one before: a reader that follows runs out
// of stack.
TEST(Messages, ThatNestTooDeepAreRefused) {
  const std::string deep(10'000'000, '\x81');
  EXPECT_NE(error_of([&] { read_requests(deep); }).find("no CBOR"), std::string::npos);
  EXPECT_NE(error_of([&] { read_responses(deep); }).find("no CBOR"), std::string::npos);
}

std::string read_with_shape(const nlohmann::json& shape) {
  const nlohmann::json request = {"a", 0, 0, 0, "Float", 4, shape};
  const nlohmann::json list = {nlohmann::json::binary({}),
                               nlohmann::json::array({request}), false, false, false};
  std::string bytes;
  nlohmann::json::to_cbor(list, bytes);
  return error_of([&] { read_requests(bytes); });
}

TEST(Messages, OfTensorsThatCannotBeAreRefused) {
  EXPECT_EQ(read_with_shape({2, 3}), "none");
  EXPECT_NE(read_with_shape({2, -3}).find("a number of -3"), std::string::npos);
  EXPECT_NE(read_with_shape({1 << 30, 1 << 30, 1 << 30}).find("a huge tensor"),
            std::string::npos);
  EXPECT_NE(read_with_shape({1.5}).find("a number of 1"), std::string::npos);
  EXPECT_NE(read_with_shape("x").find("a strange shape"), std::string::npos);
}

}  // namespace
}  // namespace lockstep::negotiation
