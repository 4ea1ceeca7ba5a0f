// A small GPT: Radford et al., "Language Models are Unsupervised Multitask Learners",
// 2019. Four blocks of causal self-attention and an MLP, each behind a layer norm;
// every position's output is the logits of the token that follows.
//
// With 50,257 tokens of vocabulary a batch of n sequences of T makes n*T*50,257 logits:
// more than everything else that a step needs, and in DataParallel all of it gathers on
// the primary card.
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/normalization.h>

#include "model/linear.h"
#include "model/networks.h"

namespace lockstep::model {
namespace {

namespace nn = torch::nn;

constexpr int64_t kWidth = 256;
constexpr int64_t kHeads = 4;
constexpr int kBlocks = 4;

nn::LayerNorm layer_norm() { return nn::LayerNorm(nn::LayerNormOptions({kWidth})); }

// [n, T, width] -> [n, T, width]
class TransformerBlockImpl : public nn::Cloneable<TransformerBlockImpl> {
 public:
  TransformerBlockImpl() { reset(); }

  // Cloneable makes replicas by calling this and copying the parameters over.
  void reset() override {
    attention_norm_ = register_module("attention_norm", layer_norm());
    queries_keys_values_ =
        register_module("queries_keys_values", Linear(kWidth, 3 * kWidth));
    attention_out_ = register_module("attention_out", Linear(kWidth, kWidth));
    mlp_norm_ = register_module("mlp_norm", layer_norm());
    mlp_in_ = register_module("mlp_in", Linear(kWidth, 4 * kWidth));
    mlp_out_ = register_module("mlp_out", Linear(4 * kWidth, kWidth));
  }

  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor attended = input + attention(attention_norm_(input));
    const at::Tensor hidden = at::gelu(mlp_in_(mlp_norm_(attended)));
    return attended + mlp_out_(hidden);
  }

 private:
  at::Tensor attention(const at::Tensor& input) {
    const int64_t n = input.size(0);
    const int64_t length = input.size(1);
    // [n, T, 3 * width] -> 3 of [n, heads, T, width / heads]
    const std::vector<at::Tensor> parts =
        queries_keys_values_(input)
            .view({n, length, 3, kHeads, kWidth / kHeads})
            .permute({2, 0, 3, 1, 4})
            .unbind(0);
    const at::Tensor heads = at::scaled_dot_product_attention(
        parts[0], parts[1], parts[2], /*attn_mask=*/{}, /*dropout_p=*/0,
        /*is_causal=*/true);
    return attention_out_(heads.transpose(1, 2).reshape({n, length, kWidth}));
  }

  nn::LayerNorm attention_norm_{nullptr};
  Linear queries_keys_values_{nullptr};
  Linear attention_out_{nullptr};
  nn::LayerNorm mlp_norm_{nullptr};
  Linear mlp_in_{nullptr};
  Linear mlp_out_{nullptr};
};
TORCH_MODULE(TransformerBlock);

// The whole of it in one module, so that a head that is tied to the embedding is the
// same parameter in every clone: it is registered once, as "token".
class TransformerImpl : public nn::Cloneable<TransformerImpl> {
 public:
  TransformerImpl(const Inputs& inputs, bool tied) : inputs_(inputs), tied_(tied) {
    reset();
  }

  void reset() override {
    token_ = drawn("token", inputs_.vocabulary);
    position_ = drawn("position", inputs_.length);
    blocks_ = register_module("blocks", Network());
    for (int i = 0; i < kBlocks; ++i) blocks_->push_back(TransformerBlock());
    norm_ = register_module("norm", layer_norm());
    if (tied_) return;
    head_ = register_module("head", Linear(kWidth, inputs_.vocabulary, /*bias=*/false));
  }

  // [n, T] of int64 -> [n, T, vocabulary]
  at::Tensor forward(const at::Tensor& tokens) {
    TORCH_CHECK(tokens.dim() == 2 && tokens.scalar_type() == at::kLong,
                "expected tokens [n, T] of int64, got ", tokens.scalar_type(), " ",
                tokens.sizes());
    const at::Tensor embedded =
        at::embedding(token_, tokens) + position_.narrow(0, 0, tokens.size(1));
    const at::Tensor hidden = norm_(blocks_->forward(embedded));
    return tied_ ? linear_product(hidden, token_) : head_(hidden);
  }

 private:
  // [rows, width], as GPT-2 draws its embeddings.
  at::Tensor drawn(const std::string& name, int64_t rows) {
    const at::Tensor drawn = torch::empty({rows, kWidth}).normal_(0, 0.02);
    return register_parameter(name, drawn);
  }

  Inputs inputs_;
  bool tied_;
  at::Tensor token_;     // [vocabulary, width]
  at::Tensor position_;  // [length, width]
  Network blocks_{nullptr};
  nn::LayerNorm norm_{nullptr};
  Linear head_{nullptr};
};
TORCH_MODULE(Transformer);

}  // namespace

Network transformer(const Inputs& inputs) {
  return Network(Transformer(inputs, /*tied=*/false));
}

Network transformer_tied(const Inputs& inputs) {
  return Network(Transformer(inputs, /*tied=*/true));
}

}  // namespace lockstep::model
