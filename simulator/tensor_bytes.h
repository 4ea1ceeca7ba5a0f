// Tensors as the bytes that travel. In memory that is no card's: what is on its way
// counts to nobody's ledger.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lockstep::simulator {

int64_t bytes_of(const std::vector<at::Tensor>& tensors);
int64_t elements_of(const std::vector<at::Tensor>& tensors);

// One after the other.
std::vector<char> copied(const std::vector<at::Tensor>& tensors);
// The other way round. Past LibTorch, as other backends write: autograd sees nothing.
void write(const char* bytes, const std::vector<at::Tensor>& tensors);

// Throws std::invalid_argument unless there is a tensor, and all lie in the CPU's
// memory without gaps and are of one type. `who` for the error's text.
void check_tensors(const std::vector<at::Tensor>& tensors, const char* who);

}  // namespace lockstep::simulator
