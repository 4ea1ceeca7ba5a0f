// What ranks and the coordinator say to each other, as plain structs, and how they are
// written down (CBOR). After horovod/common/message.h: a request is one rank's word
// that a tensor is ready there, a response the coordinator's that it is ready on all.
//
// The readers take foreign bytes: what is not a message throws std::runtime_error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep::negotiation {

enum class Operation : uint8_t { allreduce, broadcast };
std::string to_string(Operation operation);  // "allreduce"

enum class ReduceOp : uint8_t { average, sum };
std::string to_string(ReduceOp op);

// One tensor, as one rank has it.
struct Request {
  std::string name;
  Operation operation = Operation::allreduce;
  ReduceOp op = ReduceOp::average;  // of an allreduce
  int root_rank = 0;                // of a broadcast
  std::string dtype;                // "Float", as LibTorch calls it
  int64_t element_bytes = 0;
  std::vector<int64_t> shape;

  int64_t elements() const;
  int64_t bytes() const { return elements() * element_bytes; }
  friend bool operator==(const Request&, const Request&) = default;
};

// From a rank: what has become ready there since its last word. Tensors that the
// coordinator has given a number (response_cache.h) are a bit each.
struct RequestList {
  std::vector<bool> numbers;
  std::vector<Request> requests;
  bool joined = false;    // this rank has no more data
  bool shutdown = false;  // this rank wants to end
  // It waits for what it has submitted: nothing more comes before that is answered.
  bool waits = false;

  bool empty() const {
    return numbers.empty() && requests.empty() && !joined && !shutdown && !waits;
  }
};

// A tensor of a response: by its number alone, or in full, with the number that it has
// from now on. -1: it gets none.
struct ResponseTensor {
  int64_t number = -1;
  Request request;  // with an empty name: all ranks know the number
};

struct Response {
  enum class Kind : uint8_t {
    allreduce,
    broadcast,
    join,  // all ranks have joined, `rank` the last of them
    error  // the first tensor's: `text`, which is the same on all ranks
  };
  Kind kind = Kind::allreduce;
  std::vector<ResponseTensor> tensors;  // fused, in this order
  std::string text;
  std::vector<int64_t> times;  // of an error: how often each rank had submitted it
  int rank = 0;
};

// To all ranks: one cycle's decisions, which they carry out in this order.
struct ResponseList {
  std::vector<Response> responses;
  int shutdown_by = -1;  // this rank ends it all; -1: nobody
  std::string fatal;     // all ranks end by this error; empty: none
};

std::string write(const RequestList& list);
std::string write(const ResponseList& list);
RequestList read_requests(const std::string& bytes);
ResponseList read_responses(const std::string& bytes);

}  // namespace lockstep::negotiation
