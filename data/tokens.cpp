// Sequences of tokens, of a text's bytes or made up.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <stdexcept>

#include "data/dataset.h"
#include "data/gzip.h"
#include "data/text.h"

namespace lockstep::data {
namespace {

// `tokens` are n * length and the one that follows. Both halves of a sample are views
// of them.
Samples sequences_of(const at::Tensor& tokens, int64_t length) {
  const int64_t used = tokens.numel() - 1;
  return {tokens.narrow(0, 0, used).view({-1, length}),
          tokens.narrow(0, 1, used).view({-1, length})};
}

std::vector<uint8_t> bytes_of(const std::string& file) {
  try {
    return read_file(file);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error("--data-dir " + std::string(error.what()) +
                             "; give a text file, or leave it out for made-up tokens");
  }
}

Dataset read_text(const Source& source) {
  const std::vector<uint8_t> bytes = bytes_of(source.data_dir);
  const TextHalves halves = cut_text(bytes, source.length, source.vocabulary,
                                     "--data-dir " + source.data_dir);
  at::Tensor tokens = at::empty({static_cast<int64_t>(bytes.size())}, at::kInt);
  std::copy(bytes.begin(), bytes.end(), tokens.mutable_data_ptr<int32_t>());
  const auto half = [&](int64_t start, int64_t sequences) {
    return sequences_of(
        tokens.narrow(0, start * source.length, sequences * source.length + 1),
        source.length);
  };
  return {half(0, halves.train), half(halves.train, halves.test)};
}

// A chain: after each token one of four others, equally likely, comes. Small tokens
// come up far more often than large ones, as words do, so that a short run meets them
// again. bench/peers/datasets.py draws the same.
Dataset make_chain(const Source& source) {
  constexpr int64_t kTrain = 4096;
  constexpr int64_t kTest = 256;
  constexpr int64_t kNext = 4;
  const at::Generator random = at::detail::createCPUGenerator(/*seed=*/64);
  const auto draw = [&](at::IntArrayRef shape) {
    const at::Tensor skewed = at::rand(shape, random).pow(4) * source.vocabulary;
    return skewed.to(at::kInt).clamp_max(source.vocabulary - 1);
  };
  const at::Tensor next = draw({source.vocabulary, kNext});
  const at::Tensor turns =
      at::randint(kNext, {source.length, kTrain + kTest}, random, at::kLong);
  std::vector<at::Tensor> tokens = {draw({kTrain + kTest})};
  for (const at::Tensor& turn : turns.unbind(0)) {
    tokens.push_back(next.view(-1).index_select(0, tokens.back() * kNext + turn));
  }
  const at::Tensor chains = at::stack(tokens, 1);  // [n, length + 1]
  const auto half = [&](int64_t start, int64_t count) {
    const at::Tensor mine = chains.narrow(0, start, count);
    return Samples(mine.narrow(1, 0, source.length).contiguous(),
                   mine.narrow(1, 1, source.length).contiguous());
  };
  return {half(0, kTrain), half(kTrain, kTest)};
}

}  // namespace

Dataset load_tokens(const Source& source) {
  return source.data_dir.empty() ? make_chain(source) : read_text(source);
}

}  // namespace lockstep::data
