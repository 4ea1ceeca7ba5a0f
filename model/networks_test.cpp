#include "model/networks.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

namespace lockstep::model {
namespace {

struct Case {
  std::string name;
  Inputs inputs;
  std::function<Network(const Inputs&)> network;
  std::vector<int64_t> sample;  // one input's shape
  int64_t parameters;           // numbers, counted by hand below
  int64_t buffers;

  Network make() const { return network(inputs); }
  bool of_tokens() const { return sample.size() == 1 && sample[0] == inputs.length; }
};

// Convolution in*out*k*k (+ out), batch norm 2*out and buffers 2*out + 1, linear in*out
// + out.
int64_t batch_norms(std::vector<int64_t> widths, int64_t each, int64_t more) {
  int64_t numbers = 0;
  for (const int64_t width : widths) numbers += each * width + more;
  return numbers;
}

int64_t resnet18_parameters(int64_t channels) {
  int64_t numbers = channels * 64 * 9 + 2 * 64;  // stem
  int64_t in = 64;
  for (const int64_t out : {64, 128, 256, 512}) {
    numbers += in * out * 9 + 3 * out * out * 9 + 4 * 2 * out;  // two blocks of two
    if (in != out) numbers += in * out + 2 * out;               // 1x1 shortcut
    in = out;
  }
  return numbers + 512 * 10 + 10;
}

const Inputs kCifar = {.channels = 3, .height = 32, .width = 32};

const Inputs kTokens = {.vocabulary = 41, .length = 9};

// Embeddings, final norm and four blocks of two norms, attention and MLP; no head.
int64_t transformer_parameters() {
  const int64_t w = 256;
  const int64_t block =
      4 * w + (w * 3 * w + 3 * w) + (w * w + w) + (w * 4 * w + 4 * w) + (4 * w * w + w);
  return (kTokens.vocabulary + kTokens.length) * w + 2 * w + 4 * block;
}

std::vector<Case> cases() {
  const int64_t blocks = 16 * 25 + 16 + 16 * 32 * 25 + 32;
  const int64_t more_channels = 2 * 16 * 25;        // of three, before the first block
  const int64_t more_pixels = (64 - 49) * 32 * 10;  // of 32 x 32, behind the second
  const std::vector<int64_t> images = {1, 28, 28};
  const std::vector<int64_t> cifar = {3, 32, 32};
  const std::vector<int64_t> resnet18_norms = {64,  64,  64,  64,  64,  128, 128,
                                               128, 128, 128, 256, 256, 256, 256,
                                               256, 512, 512, 512, 512, 512};
  return {{"linear", {}, linear, {100}, 1010, 0},
          {"mlp", {}, mlp, images, 203530, 0},
          {"mlp-on-cifar", kCifar, mlp, cifar, 203530 + (3072 - 784) * 256, 0},
          {"mlp-wide", {}, mlp_wide, images, 5824522, 0},
          {"convnet-plain", {}, convnet_plain, images, blocks + 15690, 0},
          {"convnet-plain-on-cifar", kCifar, convnet_plain, cifar,
           blocks + 15690 + more_channels + more_pixels, 0},
          {"convnet",
           {},
           convnet,
           images,
           blocks + 15690 + batch_norms({16, 32}, 2, 0),
           batch_norms({16, 32}, 2, 1)},
          {"resnet18",
           {},
           resnet18,
           images,
           resnet18_parameters(1),
           batch_norms(resnet18_norms, 2, 1)},
          {"resnet18-on-cifar", kCifar, resnet18, cifar, resnet18_parameters(3),
           batch_norms(resnet18_norms, 2, 1)},
          // As reproductions of it on CIFAR-10 count them; its 53 batch norms have
          // 26,560 channels.
          {"resnet50-on-cifar", kCifar, resnet50, cifar, 23520842, 2 * 26560 + 53},
          {"transformer",
           kTokens,
           transformer,
           {9},
           transformer_parameters() + 41 * 256,
           0},
          {"transformer-tied",
           kTokens,
           transformer_tied,
           {9},
           transformer_parameters(),
           0}};
}

int64_t numbers(const std::vector<at::Tensor>& tensors) {
  int64_t count = 0;
  for (const at::Tensor& tensor : tensors) count += tensor.numel();
  return count;
}

at::Tensor random_batch(const Case& network, int64_t size) {
  std::vector<int64_t> shape = network.sample;
  shape.insert(shape.begin(), size);
  if (network.of_tokens()) {
    return torch::randint(network.inputs.vocabulary, shape, at::kLong);
  }
  return torch::rand(shape);
}

class NetworksTest : public testing::TestWithParam<Case> {};

TEST_P(NetworksTest, LogitsForEveryBatchSize) {
  Network network = GetParam().make();
  for (const int64_t size : {2, 7}) {
    const at::Tensor logits = network->forward(random_batch(GetParam(), size));
    std::vector<int64_t> expected = {size, 10};
    if (GetParam().of_tokens()) expected = {size, kTokens.length, kTokens.vocabulary};
    EXPECT_EQ(logits.sizes(), at::IntArrayRef(expected));
    EXPECT_TRUE(logits.isfinite().all().item<bool>());
  }
}

TEST_P(NetworksTest, CountsOfParametersAndBuffers) {
  const Network network = GetParam().make();
  EXPECT_EQ(numbers(network->parameters()), GetParam().parameters);
  EXPECT_EQ(numbers(network->buffers()), GetParam().buffers);
}

TEST_P(NetworksTest, EveryParameterIsTrained) {
  Network network = GetParam().make();
  network->forward(random_batch(GetParam(), 3)).pow(2).sum().backward();
  for (const auto& parameter : network->named_parameters()) {
    ASSERT_TRUE(parameter->grad().defined()) << parameter.key();
    EXPECT_GT(parameter->grad().abs().sum().item<float>(), 0) << parameter.key();
  }
}

TEST_P(NetworksTest, TheSeedDecides) {
  torch::manual_seed(3);
  const auto first = GetParam().make()->parameters();
  torch::manual_seed(3);
  const auto again = GetParam().make()->parameters();
  torch::manual_seed(4);
  const auto other = GetParam().make()->parameters();
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(first[i].equal(again[i])) << i;
  EXPECT_FALSE(first[0].equal(other[0]));
}

// DataParallel's replicas are clones: equal, and independent.
TEST_P(NetworksTest, AClonePredictsTheSameAndIsAnother) {
  Network network = GetParam().make();
  const at::Tensor batch = random_batch(GetParam(), 5);
  network->forward(batch);  // moves running statistics away from where they start
  Network clone(std::dynamic_pointer_cast<torch::nn::SequentialImpl>(network->clone()));
  ASSERT_FALSE(clone.is_empty());
  const auto ours = network->named_parameters();
  const auto theirs = clone->named_parameters();
  EXPECT_EQ(ours.keys(), theirs.keys());
  EXPECT_EQ(network->named_buffers().keys(), clone->named_buffers().keys());
  network->eval();
  clone->eval();
  const at::Tensor logits = network->forward(batch);
  EXPECT_TRUE(clone->forward(batch).equal(logits));
  {
    const at::NoGradGuard no_grad;
    for (at::Tensor& parameter : clone->parameters()) parameter.zero_();
    for (at::Tensor& buffer : clone->buffers()) buffer.zero_();
  }
  EXPECT_TRUE(network->forward(batch).equal(logits));
  EXPECT_FALSE(clone->forward(batch).equal(logits)) << "the clone computes with others";
}

INSTANTIATE_TEST_SUITE_P(All, NetworksTest, testing::ValuesIn(cases()),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(NetworkNames, AreThoseOfPythonsSequential) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(linear({})->named_parameters().keys(), (Names{"0.weight", "0.bias"}));
  EXPECT_EQ(mlp({})->named_parameters().keys(),
            (Names{"1.weight", "1.bias", "3.weight", "3.bias"}));
  EXPECT_EQ(convnet({})->named_parameters().keys(),
            (Names{"0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias",
                   "5.weight", "5.bias", "9.weight", "9.bias"}));
  EXPECT_EQ(convnet({})->named_buffers().keys(),
            (Names{"1.running_mean", "1.running_var", "1.num_batches_tracked",
                   "5.running_mean", "5.running_var", "5.num_batches_tracked"}));
  EXPECT_EQ(convnet_plain({})->named_parameters().keys(),
            (Names{"0.weight", "0.bias", "3.weight", "3.bias", "7.weight", "7.bias"}));
}

// The last of its images, before they are averaged: 28, 28, 14, 7, 4 rows.
TEST(Resnet18, HalvesTheImageInEveryStageButTheFirst) {
  const Network network = resnet18({});
  Network body;
  for (size_t i = 0; i + 3 < network->size(); ++i) body->push_back(network->begin()[i]);
  EXPECT_EQ(body->forward(torch::rand({2, 1, 28, 28})).sizes(),
            at::IntArrayRef({2, 512, 4, 4}));
}

// What a rank without samples does (--join): its gradients are there, and zero.
TEST(EveryNetwork, TakesABatchOfNothing) {
  const auto expect_zeros = [](Network network, const at::Tensor& nothing) {
    const at::Tensor logits = network->forward(nothing);
    EXPECT_EQ(logits.size(0), 0);
    logits.sum().backward();
    for (const NamedParameter& one : named_trained_parameters(network)) {
      ASSERT_TRUE(one.tensor.grad().defined()) << one.name;
      EXPECT_EQ(one.tensor.grad().abs().max().item<float>(), 0) << one.name;
    }
  };
  const at::Tensor images = torch::empty({0, 1, 28, 28});
  for (const auto& make : {&mlp, &convnet, &convnet_plain, &resnet18}) {
    expect_zeros(make({}), images);
    expect_zeros(make({}), images.contiguous(at::MemoryFormat::ChannelsLast));
  }
  expect_zeros(transformer(kTokens), torch::empty({0, 9}, at::kLong));
}

TEST(Transformer, SeesNoTokenThatComesLater) {
  Network network = transformer(kTokens);
  const at::Tensor tokens = torch::randint(41, {3, 9}, at::kLong);
  at::Tensor others = tokens.clone();
  others.select(1, 5).add_(1).remainder_(41);
  const at::Tensor moved =
      (network->forward(tokens) - network->forward(others)).abs().amax({0, 2});
  EXPECT_EQ(moved.narrow(0, 0, 5).max().item<float>(), 0);
  EXPECT_GT(moved.narrow(0, 5, 4).min().item<float>(), 0);
}

TEST(Transformer, IsOfTheSizeThatItsPlaceSays) {
  const auto sizes = [](Network network) { return numbers(network->parameters()); };
  EXPECT_EQ(sizes(transformer({})), 28907520);
  EXPECT_EQ(sizes(transformer_tied({})), 28907520 - 50257 * 256);
}

// One parameter, also in a clone: what changes it changes both ends.
TEST(Transformer, ATiedHeadIsTheEmbeddingInEveryClone) {
  const Network network = transformer_tied(kTokens);
  Network clone(std::dynamic_pointer_cast<torch::nn::SequentialImpl>(network->clone()));
  const at::Tensor tokens = torch::randint(41, {2, 9}, at::kLong);
  at::Tensor token = clone->named_parameters()["0.token"];
  {
    const at::NoGradGuard no_grad;
    token.zero_();
  }
  EXPECT_EQ(clone->forward(tokens).abs().max().item<float>(), 0);
  EXPECT_GT(Network(network)->forward(tokens).abs().max().item<float>(), 0);
}

TEST(Transformer, SaysWhatItTakes) {
  Network network = transformer(kTokens);
  EXPECT_THROW(network->forward(torch::rand({2, 9})), c10::Error);
  EXPECT_THROW(network->forward(torch::full({2, 9}, 41, at::kLong)), c10::Error);
}

// From Python: torch.manual_seed(0), then nn.Sequential(Flatten, Linear, ReLU, Linear).
TEST(NetworkValues, AreThoseOfPythonsSequential) {
  torch::manual_seed(0);
  const auto parameters = mlp({})->parameters();
  EXPECT_TRUE(parameters[0][0].narrow(0, 0, 3).equal(at::tensor(
      {-0.00026738643646240234F, 0.019158700481057167F, -0.029394470155239105F})));
  EXPECT_TRUE(parameters[3].narrow(0, 0, 3).equal(at::tensor(
      {0.06172066926956177F, -0.055059194564819336F, 0.05695301294326782F})));
}

}  // namespace
}  // namespace lockstep::model
