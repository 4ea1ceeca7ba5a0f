// Files of tensors as Python's `safetensors` writes and reads them: eight bytes with
// the header's size, least significant first, the header as JSON, and the tensors'
// bytes, one after the other. After https://huggingface.co/docs/safetensors.
//
// Plain bytes in and out, nothing of LibTorch: what a tensor's bytes become is the
// caller's business, its layout as well. In the file they lie contiguous, rows last.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::checkpoint {

enum class Dtype : uint8_t { F64, F32, F16, BF16, I64, I32, U8, BOOL };
int64_t size_of(Dtype dtype);  // bytes

// A tensor of a file, which holds none of it.
struct TensorBytes {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape{};
  std::string_view bytes{};
};

using Metadata = std::map<std::string, std::string>;

struct TensorFile {
  std::vector<TensorBytes> tensors;  // by their place in the file
  Metadata metadata;
};

// The file, as pieces to be written one after the other: `header` and the tensors'
// bytes, which are not copied. The largest numbers come first, so that each tensor lies
// at a multiple of its number's size, as Python's writer has it. Throws
// std::invalid_argument for a name that stands there twice or bytes that are not the
// shape's.
struct TensorPieces {
  std::string header;
  std::vector<std::string_view> bytes;
};
TensorPieces to_pieces(std::vector<TensorBytes> tensors, const Metadata& metadata);

// `file` is what errors call it. What it returns looks into `bytes`. Throws
// std::runtime_error, one line naming the file, the tensor and what is wrong, for
// everything that Python's reader refuses, and for types not named above.
TensorFile read_tensors(std::string_view bytes, const std::string& file);

}  // namespace lockstep::checkpoint
