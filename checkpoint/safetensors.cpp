#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <utility>

namespace lockstep::checkpoint {
namespace {

using Json = nlohmann::json;

// Python's limit, too: a header that claims more was not written by anybody.
constexpr uint64_t kLargestHeader = 100'000'000;
constexpr size_t kSizeBytes = 8;

struct NamedDtype {
  const char* name;
  int64_t bytes;
};
// In the order of Dtype.
constexpr std::array<NamedDtype, 8> kDtypes = {{{"F64", 8},
                                                {"F32", 4},
                                                {"F16", 2},
                                                {"BF16", 2},
                                                {"I64", 8},
                                                {"I32", 4},
                                                {"U8", 1},
                                                {"BOOL", 1}}};

const NamedDtype& named(Dtype dtype) { return kDtypes.at(static_cast<size_t>(dtype)); }

// Whatever bytes it has, on one line.
std::string in_quotes(const std::string& text) {
  constexpr size_t kLongest = 100;
  return Json(text.substr(0, kLongest))
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

// The bytes of a tensor; -1: more than there can be.
int64_t bytes_of(Dtype dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = size_of(dtype);
  // A size of 0 makes nothing of whatever else there is.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return -1;
  }
  return bytes;
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  TensorFile read() {
    const Json header = parse(header_text());
    if (!header.is_object()) fail("its header is not a JSON object");
    for (const auto& [name, value] : header.items()) {
      if (name == "__metadata__") {
        read_metadata(value);
      } else {
        read_tensor(name, value);
      }
    }
    return place_tensors();
  }

 private:
  struct Entry {
    TensorBytes tensor;
    uint64_t begin;
    uint64_t end;
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(file_ + " is no whole safetensors file: " + what);
  }
  [[noreturn]] void fail(const std::string& tensor, const std::string& what) const {
    fail("tensor " + in_quotes(tensor) + " " + what);
  }

  std::string_view header_text() {
    if (bytes_.size() < kSizeBytes) {
      fail("it has " + std::to_string(bytes_.size()) +
           " bytes, fewer than its header's size takes");
    }
    uint64_t size = 0;
    for (size_t i = kSizeBytes; i-- > 0;) {
      size = size << 8 | static_cast<uint8_t>(bytes_[i]);
    }
    const std::string claims = "its header claims " + std::to_string(size) + " bytes, ";
    if (size > kLargestHeader)
      fail(claims + "more than the " + std::to_string(kLargestHeader) +
           " that are allowed");
    const size_t rest = bytes_.size() - kSizeBytes;
    if (size > rest) fail(claims + "and " + std::to_string(rest) + " follow");
    data_ = bytes_.substr(kSizeBytes + size);
    const std::string_view text = bytes_.substr(kSizeBytes, size);
    if (text.empty() || text.front() != '{') fail("its header does not begin with '{'");
    return text;
  }

  // nlohmann's parser takes the last of two equal keys, which are two tensors of one
  // name.
  Json parse(std::string_view text) const {
    std::vector<std::set<std::string>> keys;
    std::string twice;
    bool found = false;
    const auto look = [&](int, Json::parse_event_t event, const Json& value) {
      using Event = Json::parse_event_t;
      if (event == Event::object_start) keys.emplace_back();
      if (event == Event::object_end) keys.pop_back();
      if (event == Event::key && !found) {
        twice = value.get<std::string>();
        found = !keys.back().insert(twice).second;
      }
      return true;
    };
    Json header;
    try {
      header = Json::parse(text.begin(), text.end(), look);
    } catch (const Json::exception& error) {
      const std::string what = error.what();
      if (what.find("UTF-8") != std::string::npos) fail("its header is not UTF-8");
      fail("its header is not JSON (" + in_quotes(what) + ")");
    }
    if (found) fail("its header has the key " + in_quotes(twice) + " twice");
    return header;
  }

  void read_metadata(const Json& value) {
    if (!value.is_object()) fail("its __metadata__ is not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string())
        fail("its __metadata__ " + in_quotes(key) + " is not a string");
      file_read_.metadata.emplace(key, text.get<std::string>());
    }
  }

  void read_tensor(const std::string& name, const Json& value) {
    if (!value.is_object()) fail(name, "is not described by an object");
    for (const auto& [key, ignored] : value.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        fail(name, "has " + in_quotes(key) + ", which means nothing");
    }
    Entry entry{{name, dtype_of(name, value), shape_of(name, value)}, 0, 0};
    const std::vector<uint64_t> offsets = numbers(name, value, "data_offsets");
    if (offsets.size() != 2) fail(name, "has data_offsets that are not two");
    entry.begin = offsets[0];
    entry.end = offsets[1];
    const std::string place =
        "lies from " + std::to_string(entry.begin) + " to " + std::to_string(entry.end);
    if (entry.begin > entry.end) fail(name, place + ", which is backwards");
    if (entry.end > data_.size()) {
      fail(name, place + ", and there are " + std::to_string(data_.size()) + " bytes");
    }
    const int64_t bytes = bytes_of(entry.tensor.dtype, entry.tensor.shape);
    if (bytes < 0) fail(name, "has a shape of more bytes than there can be");
    if (static_cast<uint64_t>(bytes) != entry.end - entry.begin) {
      fail(name, place + ", where its shape takes " + std::to_string(bytes) + " bytes");
    }
    entries_.push_back(std::move(entry));
  }

  Dtype dtype_of(const std::string& name, const Json& value) const {
    const auto found = value.find("dtype");
    if (found == value.end() || !found->is_string()) fail(name, "has no dtype");
    const auto text = found->get<std::string>();
    std::string known;
    for (size_t i = 0; i < kDtypes.size(); ++i) {
      if (text == kDtypes.at(i).name) return static_cast<Dtype>(i);
      known += std::string(i == 0 ? "" : ", ") + kDtypes.at(i).name;
    }
    fail(name, "has dtype " + in_quotes(text) + "; known: " + known);
  }

  std::vector<uint64_t> numbers(const std::string& name, const Json& value,
                                const char* key) const {
    const auto found = value.find(key);
    if (found == value.end() || !found->is_array())
      fail(name, std::string("has no ") + key);
    std::vector<uint64_t> numbers;
    for (const Json& number : *found) {
      if (!number.is_number_unsigned())
        fail(name, std::string("has ") + key + " that are not whole numbers from 0");
      numbers.push_back(number.get<uint64_t>());
    }
    return numbers;
  }

  std::vector<int64_t> shape_of(const std::string& name, const Json& value) const {
    std::vector<int64_t> shape;
    for (const uint64_t size : numbers(name, value, "shape")) {
      if (size > static_cast<uint64_t>(INT64_MAX))
        fail(name, "has a shape of more bytes than there can be");
      shape.push_back(static_cast<int64_t>(size));
    }
    return shape;
  }

  // One after the other, without gaps, to the last byte.
  TensorFile place_tensors() {
    std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t at = 0;
    for (Entry& entry : entries_) {
      if (entry.begin != at) {
        fail(entry.tensor.name,
             "begins at " + std::to_string(entry.begin) +
                 (entry.begin < at ? ", inside" : ", not at the end") +
                 " of the one before, which ends at " + std::to_string(at));
      }
      at = entry.end;
      entry.tensor.bytes = data_.substr(entry.begin, entry.end - entry.begin);
      file_read_.tensors.push_back(std::move(entry.tensor));
    }
    if (at != data_.size()) {
      fail(std::to_string(data_.size() - at) + " bytes follow its last tensor");
    }
    return std::move(file_read_);
  }

  std::string_view bytes_;
  const std::string& file_;
  std::string_view data_;
  std::vector<Entry> entries_;
  TensorFile file_read_;
};

}  // namespace

int64_t size_of(Dtype dtype) { return named(dtype).bytes; }

TensorFile read_tensors(std::string_view bytes, const std::string& file) {
  return Reader(bytes, file).read();
}

TensorPieces to_pieces(std::vector<TensorBytes> tensors, const Metadata& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return size_of(a.dtype) > size_of(b.dtype);
  });
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  TensorPieces pieces;
  size_t at = 0;
  for (const TensorBytes& tensor : tensors) {
    const int64_t bytes = bytes_of(tensor.dtype, tensor.shape);
    if (bytes < 0 || static_cast<size_t>(bytes) != tensor.bytes.size()) {
      throw std::invalid_argument("tensor " + in_quotes(tensor.name) + " has " +
                                  std::to_string(tensor.bytes.size()) +
                                  " bytes, its shape takes " + std::to_string(bytes));
    }
    const auto [place, is_new] =
        header.emplace(tensor.name, Json{{"dtype", named(tensor.dtype).name},
                                         {"shape", tensor.shape},
                                         {"data_offsets", {at, at + bytes}}});
    if (!is_new || tensor.name == "__metadata__") {
      throw std::invalid_argument("tensor " + in_quotes(tensor.name) +
                                  ": the name is taken; give each one of its own");
    }
    at += static_cast<size_t>(bytes);
    pieces.bytes.push_back(tensor.bytes);
  }
  std::string text = header.dump();
  text.append((kSizeBytes - text.size() % kSizeBytes) % kSizeBytes, ' ');
  for (size_t i = 0; i < kSizeBytes; ++i) {
    pieces.header += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  pieces.header += text;
  return pieces;
}

}  // namespace lockstep::checkpoint
