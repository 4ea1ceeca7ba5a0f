#include "simulator/tensor_bytes.h"

#include <cstring>
#include <stdexcept>
#include <string>

namespace lockstep::simulator {

int64_t bytes_of(const std::vector<at::Tensor>& tensors) {
  int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += tensor.numel() * tensor.itemsize();
  return bytes;
}

int64_t elements_of(const std::vector<at::Tensor>& tensors) {
  int64_t elements = 0;
  for (const at::Tensor& tensor : tensors) elements += tensor.numel();
  return elements;
}

std::vector<char> copied(const std::vector<at::Tensor>& tensors) {
  std::vector<char> bytes;
  bytes.reserve(static_cast<size_t>(bytes_of(tensors)));
  for (const at::Tensor& tensor : tensors) {
    const auto* first = static_cast<const char*>(tensor.const_data_ptr());
    bytes.insert(bytes.end(), first, first + tensor.nbytes());
  }
  return bytes;
}

void write(const char* bytes, const std::vector<at::Tensor>& tensors) {
  for (const at::Tensor& tensor : tensors) {
    if (tensor.numel() == 0) continue;
    std::memcpy(tensor.mutable_data_ptr(), bytes, tensor.nbytes());
    bytes += tensor.nbytes();
  }
}

void check_tensors(const std::vector<at::Tensor>& tensors, const char* who) {
  if (tensors.empty()) throw std::invalid_argument(std::string(who) + ": no tensor");
  for (const at::Tensor& tensor : tensors) {
    const char* wrong = !tensor.defined()         ? "is undefined"
                        : !tensor.is_cpu()        ? "is not in the CPU's memory"
                        : !tensor.is_contiguous() ? "is not contiguous"
                        : tensor.scalar_type() != tensors[0].scalar_type()
                            ? "is of another type than the first"
                            : nullptr;
    if (wrong) throw std::invalid_argument(std::string(who) + ": a tensor " + wrong);
  }
}

}  // namespace lockstep::simulator
