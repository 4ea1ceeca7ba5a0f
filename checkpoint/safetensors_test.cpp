#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "launch/process.h"
#include "tests/test_folder.h"

namespace lockstep::checkpoint {
namespace {

std::string whole(const TensorPieces& pieces) {
  std::string bytes = pieces.header;
  for (const std::string_view piece : pieces.bytes) bytes += piece;
  return bytes;
}

// A file of this header and so many bytes.
std::string file_of(const std::string& header, size_t data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i));
  return bytes + header + std::string(data, 'x');
}

std::string error_of(const std::string& bytes) {
  try {
    read_tensors(bytes, "FILE");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "none";
}

// Owns what its tensors look into.
struct RandomTensors {
  std::vector<std::string> bytes;
  std::vector<TensorBytes> tensors;
};

RandomTensors random_tensors(unsigned seed) {
  std::minstd_rand random(seed);
  RandomTensors made;
  const size_t count = random() % 12;
  made.bytes.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    TensorBytes tensor;
    tensor.name = std::string(i % 3 == 0 ? "läyer " : "") + std::to_string(i) +
                  (i % 4 == 0 ? ".\"weight\"\n" : ".weight");
    tensor.dtype = static_cast<Dtype>(random() % 8);
    int64_t bytes = size_of(tensor.dtype);
    for (unsigned d = random() % 5; d > 0; --d) {
      tensor.shape.push_back(static_cast<int64_t>(random() % 6));
      bytes *= tensor.shape.back();
    }
    std::string content(static_cast<size_t>(bytes), '\0');
    const bool truth = tensor.dtype == Dtype::BOOL;
    for (char& c : content) c = static_cast<char>(random() % (truth ? 2 : 256));
    made.bytes.push_back(std::move(content));
    tensor.bytes = made.bytes.back();
    made.tensors.push_back(std::move(tensor));
  }
  return made;
}

TEST(Safetensors, RandomTensorsComeBack) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    const RandomTensors made = random_tensors(seed);
    const Metadata metadata = seed % 2 == 0 ? Metadata{} : Metadata{{"a", "ü\n"}};
    const std::string bytes = whole(to_pieces(made.tensors, metadata));
    const TensorFile file = read_tensors(bytes, "FILE");
    EXPECT_EQ(file.metadata, metadata);
    ASSERT_EQ(file.tensors.size(), made.tensors.size());
    for (const TensorBytes& wanted : made.tensors) {
      size_t found = 0;
      for (const TensorBytes& tensor : file.tensors) {
        if (tensor.name != wanted.name) continue;
        ++found;
        EXPECT_EQ(tensor.dtype, wanted.dtype);
        EXPECT_EQ(tensor.shape, wanted.shape);
        EXPECT_EQ(tensor.bytes, wanted.bytes);
        if (!tensor.bytes.empty()) {
          EXPECT_EQ((tensor.bytes.data() - bytes.data()) % size_of(tensor.dtype), 0);
        }
      }
      EXPECT_EQ(found, 1U) << wanted.name;
    }
  }
}

TEST(Safetensors, WhatCannotBeWrittenIsRefused) {
  const std::string four = "1234";
  const TensorBytes good{"a", Dtype::F32, {1}, four};
  EXPECT_THROW(to_pieces({good, good}, {}), std::invalid_argument);
  EXPECT_THROW(to_pieces({{"a", Dtype::F32, {2}, four}}, {}), std::invalid_argument);
  EXPECT_THROW(to_pieces({{"__metadata__", Dtype::F32, {1}, four}}, {}),
               std::invalid_argument);
  EXPECT_THROW(to_pieces({{"a", Dtype::F32, {1L << 62, 4}, ""}}, {}),
               std::invalid_argument);
}

struct Malformed {
  std::string bytes;
  std::string error;
};

std::string tensor(const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

TEST(Safetensors, EveryMalformedFileIsRefusedInOneLine) {
  const std::string t = tensor("F32", "[1]", "[0,4]");
  const std::vector<Malformed> cases = {
      {"", "it has 0 bytes, fewer than its header's size takes"},
      {"1234567", "it has 7 bytes"},
      {std::string(8, '\xff'), "claims 18446744073709551615 bytes, more than"},
      {std::string("\0\xe1\xf5\x05\0\0\0\0", 8),
       "claims 100000000 bytes, and 0 follow"},
      {std::string("\1\xe1\xf5\x05\0\0\0\0", 8), "claims 100000001 bytes, more than"},
      {file_of("", 0), "does not begin with '{'"},
      {file_of("[]", 0), "does not begin with '{'"},
      {file_of(" {}", 0), "does not begin with '{'"},
      {file_of("{", 0), "its header is not JSON"},
      {file_of("{}\n{}", 0), "its header is not JSON"},
      {file_of("{\"a\xff\":" + t + "}", 4), "its header is not UTF-8"},
      {file_of(R"({"a":)" + t + R"(,"a":)" + t + "}", 4), R"(has the key "a" twice)"},
      {file_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
               1),
       R"(has the key "dtype" twice)"},
      {file_of(R"({"__metadata__":1})", 0), "its __metadata__ is not an object"},
      {file_of(R"({"__metadata__":{"a":1}})", 0), R"("a" is not a string)"},
      {file_of(R"({"a":1})", 0), R"(tensor "a" is not described by an object)"},
      {file_of(R"({"a\nb":1})", 0), R"(tensor "a\nb" is not)"},
      {file_of(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), "has no dtype"},
      {file_of(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1), "has no shape"},
      {file_of(R"({"a":{"dtype":"U8","shape":[1]}})", 1), "has no data_offsets"},
      {file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"b":1}})", 1),
       R"(has "b", which means nothing)"},
      {file_of(R"({"a":)" + tensor("F8", "[1]", "[0,1]") + "}", 1),
       R"(has dtype "F8"; known: F64, F32, F16, BF16, I64, I32, U8, BOOL)"},
      {file_of(R"({"a":)" + tensor("U8", "[-1]", "[0,1]") + "}", 1), "has shape that"},
      {file_of(R"({"a":)" + tensor("U8", "[1.5]", "[0,1]") + "}", 1), "has shape that"},
      {file_of(R"({"a":)" + tensor("U8", "[18446744073709551615]", "[0,1]") + "}", 1),
       "has a shape of more bytes than there can be"},
      {file_of(R"({"a":)" + tensor("F64", "[4294967296,4294967296]", "[0,0]") + "}", 0),
       "has a shape of more bytes than there can be"},
      {file_of(R"({"a":)" + tensor("U8", "[1]", "[0]") + "}", 1), "that are not two"},
      {file_of(R"({"a":)" + tensor("U8", "[1]", "[1,0]") + "}", 1), "is backwards"},
      {file_of(R"({"a":)" + tensor("U8", "[2]", "[0,2]") + "}", 1),
       "lies from 0 to 2, and there are 1 bytes"},
      {file_of(R"({"a":)" + tensor("F32", "[2]", "[0,4]") + "}", 4),
       "lies from 0 to 4, where its shape takes 8 bytes"},
      {file_of(R"({"a":)" + t + R"(,"b":)" + tensor("F32", "[1]", "[2,6]") + "}", 6),
       R"(tensor "b" begins at 2, inside of the one before, which ends at 4)"},
      {file_of(R"({"a":)" + t + R"(,"b":)" + tensor("F32", "[1]", "[5,9]") + "}", 9),
       R"(tensor "b" begins at 5, not at the end of the one before)"},
      {file_of(R"({"a":)" + t + "}", 5), "1 bytes follow its last tensor"},
  };
  for (const Malformed& malformed : cases) {
    const std::string error = error_of(malformed.bytes);
    EXPECT_EQ(error.rfind("FILE is no whole safetensors file: ", 0), 0U) << error;
    EXPECT_NE(error.find(malformed.error), std::string::npos)
        << error << "\nwanted: " << malformed.error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  EXPECT_EQ(error_of(file_of("{}", 0)), "none");
  EXPECT_EQ(error_of(file_of(R"({"a":)" + t + "}  ", 4)), "none");
}

// Whatever stands there: read or refused, never anything else.
TEST(Safetensors, ADamagedHeaderIsReadOrRefused) {
  const std::string good = whole(to_pieces(random_tensors(8).tensors, {{"k", "v"}}));
  const size_t header = good.find_last_of('}') + 1;
  std::minstd_rand random(1);
  for (int i = 0; i < 5000; ++i) {
    std::string bad = good;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      bad[random() % header] ^= static_cast<char>(1U << random() % 8);
    }
    if (random() % 4 == 0) bad.resize(random() % bad.size());
    EXPECT_EQ(error_of(bad).find('\n'), std::string::npos);
  }
}

void run_python(const std::string& script, const std::string& file) {
  const char* python = std::getenv("LOCKSTEP_PYTHON");
  ASSERT_NE(python, nullptr) << "run by ctest";
  launch::Command command;
  command.argv = {python, "-c", script, file};
  command.err = launch::Output::kCapture;
  launch::Process process(command);
  EXPECT_EQ(process.wait().code, 0) << process.err();
}

TEST(Safetensors, PythonReadsOurs) {
  const TestFolder folder;
  const double numbers[] = {1.5, -2, 3};
  const int64_t count = 7;
  const std::string truth("\0\1", 2);
  const std::string half("\x00\x3c", 2);  // 1 in fp16
  const auto bytes = [](const auto& value) {
    return std::string_view(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  std::ofstream(folder / "ours")
      << whole(to_pieces({{"mask", Dtype::BOOL, {2}, truth},
                          {"läyer.weight", Dtype::F64, {3, 1}, bytes(numbers)},
                          {"half", Dtype::F16, {}, half},
                          {"none", Dtype::I32, {0, 5}, ""},
                          {"num_batches_tracked", Dtype::I64, {}, bytes(count)}},
                         {{"format", "pt"}}));
  run_python(R"(
import sys
from safetensors import safe_open
from safetensors.torch import load_file
t = load_file(sys.argv[1])
assert sorted(t) == sorted(["mask", "läyer.weight", "half", "none", "num_batches_tracked"]), t
assert t["läyer.weight"].tolist() == [[1.5], [-2.0], [3.0]], t
assert t["half"].item() == 1 and t["half"].shape == (), t
assert t["mask"].tolist() == [False, True], t
assert t["none"].shape == (0, 5), t
assert t["num_batches_tracked"].item() == 7, t
assert safe_open(sys.argv[1], "pt").metadata() == {"format": "pt"}
)",
             folder / "ours");
}

TEST(Safetensors, WeReadPythons) {
  const TestFolder folder;
  run_python(R"(
import sys, torch
from safetensors.torch import save_file
types = dict(F64=torch.float64, F32=torch.float32, F16=torch.float16, BF16=torch.bfloat16,
             I64=torch.int64, I32=torch.int32, U8=torch.uint8, BOOL=torch.bool)
save_file({name: torch.arange(6).reshape(2, 3).to(dtype) for name, dtype in types.items()},
          sys.argv[1], metadata={"format": "pt", "ü": "\n"})
)",
             folder / "pythons");
  std::ostringstream text;
  text << std::ifstream(folder / "pythons").rdbuf();
  const std::string bytes = text.str();
  const TensorFile file = read_tensors(bytes, "FILE");
  EXPECT_EQ(file.metadata, (Metadata{{"format", "pt"}, {"ü", "\n"}}));
  ASSERT_EQ(file.tensors.size(), 8U);
  for (const TensorBytes& tensor : file.tensors) {
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 3}));
    if (tensor.name != "I64") continue;
    EXPECT_EQ(tensor.dtype, Dtype::I64);
    for (size_t i = 0; i < 6; ++i)
      EXPECT_EQ(tensor.bytes.at(8 * i), static_cast<char>(i));
  }
}

}  // namespace
}  // namespace lockstep::checkpoint
