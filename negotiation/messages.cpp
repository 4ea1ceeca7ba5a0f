#include "negotiation/messages.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace lockstep::negotiation {
namespace {

using Json = nlohmann::json;

// Ours nest five deep. A reader that is deeper at every byte would run out of stack.
constexpr int kDeepest = 8;
// A tensor has no more dimensions, and all its elements no more bytes.
constexpr size_t kMostDimensions = 64;
constexpr int64_t kMostBytes = int64_t{1} << 50;
constexpr int64_t kMostRanks = 1 << 20;
constexpr int64_t kMostNumbers = 1 << 24;

// Asks no more of bytes than whether they nest too deep.
class Depth final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(size_t) override { return ++depth_ <= kDeepest; }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(size_t) override { return ++depth_ <= kDeepest; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(size_t, const std::string&,
                   const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  int depth_ = 0;
};

[[noreturn]] void refuse(const std::string& why) {
  throw std::runtime_error("not a message of Horovod's negotiation: " + why);
}

Json parsed(const std::string& bytes) {
  Depth depth;
  if (!Json::sax_parse(bytes, &depth, Json::input_format_t::cbor)) {
    refuse(std::to_string(bytes.size()) + " bytes that are no CBOR");
  }
  return Json::from_cbor(bytes);
}

std::string text_of(const Json& json) {
  std::string bytes;
  Json::to_cbor(json, bytes);
  return bytes;
}

int64_t whole(const Json& json, int64_t least, int64_t most) {
  const auto value = json.get<int64_t>();
  if (!json.is_number_integer() || value < least || value > most) {
    refuse("a number of " + std::to_string(value));
  }
  return value;
}

Json json_of(const Request& request) {
  return {request.name,
          static_cast<int>(request.operation),
          static_cast<int>(request.op),
          request.root_rank,
          request.dtype,
          request.element_bytes,
          request.shape};
}

Request request_from(const Json& json) {
  Request request;
  request.name = json.at(0).get<std::string>();
  if (request.name.empty()) refuse("a tensor without a name");
  request.operation = static_cast<Operation>(whole(json.at(1), 0, 1));
  request.op = static_cast<ReduceOp>(whole(json.at(2), 0, 1));
  request.root_rank = static_cast<int>(whole(json.at(3), 0, kMostRanks));
  request.dtype = json.at(4).get<std::string>();
  request.element_bytes = whole(json.at(5), 1, 64);
  const Json& shape = json.at(6);
  if (!shape.is_array() || shape.size() > kMostDimensions) refuse("a strange shape");
  int64_t bytes = request.element_bytes;
  for (const Json& size : shape) {
    request.shape.push_back(whole(size, 0, kMostBytes));
    if (size != 0 && bytes > kMostBytes / request.shape.back()) refuse("a huge tensor");
    bytes *= request.shape.back();
  }
  return request;
}

// A bit each, the lowest first.
Json packed(const std::vector<bool>& bits) {
  std::vector<uint8_t> bytes((bits.size() + 7) / 8);
  for (size_t i = 0; i < bits.size(); ++i) {
    if (bits[i]) bytes[i / 8] = static_cast<uint8_t>(bytes[i / 8] | (1U << (i % 8)));
  }
  return Json::binary(bytes);
}

std::vector<bool> unpacked(const Json& json) {
  std::vector<bool> bits;
  for (const uint8_t byte : json.get_binary()) {
    for (int i = 0; i < 8; ++i) bits.push_back((byte >> i & 1) != 0);
  }
  return bits;
}

Json json_of(const Response& response) {
  Json tensors = Json::array();
  for (const ResponseTensor& tensor : response.tensors) {
    tensors.push_back(tensor.request.name.empty()
                          ? Json(tensor.number)
                          : Json{tensor.number, json_of(tensor.request)});
  }
  Json json = {static_cast<int>(response.kind), tensors};
  if (response.kind >= Response::Kind::join) {
    json.insert(json.end(), {response.text, response.times, response.rank});
  }
  return json;
}

Response response_from(const Json& json) {
  Response response;
  response.kind = static_cast<Response::Kind>(whole(json.at(0), 0, 3));
  for (const Json& tensor : json.at(1)) {
    if (tensor.is_number()) {
      response.tensors.push_back({whole(tensor, 0, kMostNumbers), {}});
    } else {
      response.tensors.push_back(
          {whole(tensor.at(0), -1, kMostNumbers), request_from(tensor.at(1))});
    }
  }
  if (response.kind == Response::Kind::join || response.kind == Response::Kind::error) {
    response.text = json.at(2).get<std::string>();
    for (const Json& times : json.at(3)) {
      response.times.push_back(whole(times, 0, kMostNumbers));
    }
    response.rank = static_cast<int>(whole(json.at(4), 0, kMostRanks));
  } else if (response.tensors.empty()) {
    refuse("a response without a tensor");
  }
  if (response.kind == Response::Kind::error && response.tensors.size() != 1) {
    refuse("an error of no one tensor");
  }
  return response;
}

// What the library says of a field that is not there, or another kind of thing.
template <class Read>
auto guarded(const Read& read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    refuse(error.what());
  }
}

}  // namespace

std::string to_string(Operation operation) {
  return operation == Operation::allreduce ? "allreduce" : "broadcast";
}

std::string to_string(ReduceOp op) {
  return op == ReduceOp::average ? "average" : "sum";
}

int64_t Request::elements() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

std::string write(const RequestList& list) {
  Json requests = Json::array();
  for (const Request& request : list.requests) requests.push_back(json_of(request));
  return text_of(
      {packed(list.numbers), requests, list.joined, list.shutdown, list.waits});
}

std::string write(const ResponseList& list) {
  Json responses = Json::array();
  for (const Response& response : list.responses)
    responses.push_back(json_of(response));
  return text_of({responses, list.shutdown_by, list.fatal});
}

RequestList read_requests(const std::string& bytes) {
  return guarded([&] {
    const Json json = parsed(bytes);
    RequestList list;
    list.numbers = unpacked(json.at(0));
    for (const Json& request : json.at(1))
      list.requests.push_back(request_from(request));
    list.joined = json.at(2).get<bool>();
    list.shutdown = json.at(3).get<bool>();
    list.waits = json.at(4).get<bool>();
    return list;
  });
}

ResponseList read_responses(const std::string& bytes) {
  return guarded([&] {
    const Json json = parsed(bytes);
    ResponseList list;
    for (const Json& response : json.at(0)) {
      list.responses.push_back(response_from(response));
    }
    list.shutdown_by = static_cast<int>(whole(json.at(1), -1, kMostRanks));
    list.fatal = json.at(2).get<std::string>();
    return list;
  });
}

}  // namespace lockstep::negotiation
