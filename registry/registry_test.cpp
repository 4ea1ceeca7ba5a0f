#include "registry/registry.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "training/catalog.h"

namespace lockstep::training {
namespace {

using Numbers = Registry<int()>;

Numbers numbers() {
  return {"number", {{"seventeen", [] { return 17; }}, {"twelve", [] { return 12; }}}};
}

template <class R>
std::string refusal(const R& registry, const std::string& name) {
  try {
    registry.at(name);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "found";
}

// "mine.twelve" stands beside "twelve", and goes before it where its scope is asked
// for.
TEST(RegistryTest, FindsByScope) {
  Numbers all = numbers();
  all.add("mine.twelve", [] { return -12; });
  all.add("mine.one", [] { return -1; });
  EXPECT_EQ(all.full_name("twelve"), "twelve");
  EXPECT_EQ(all.full_name("twelve", "mine"), "mine.twelve");
  EXPECT_EQ(all.full_name("seventeen", "mine"), "seventeen");
  EXPECT_EQ(all.full_name("mine.twelve", "other"), "mine.twelve");
  EXPECT_EQ(all.full_name("lockstep.twelve", "mine"), "twelve");
  EXPECT_EQ(all.at("mine.twelve")(), -12);
  EXPECT_EQ(all.at("lockstep.twelve")(), 12);
  EXPECT_EQ(refusal(all, "one"),
            "unknown number 'one'; did you mean 'mine.one'? Known: mine.one, "
            "mine.twelve, seventeen, twelve");
}

TEST(RegistryTest, FindsByName) {
  EXPECT_EQ(numbers().at("seventeen")(), 17);
  EXPECT_EQ(numbers().names(), (std::vector<std::string>{"seventeen", "twelve"}));
}

TEST(RegistryTest, TheNearestNameAndAllOthersAreOffered) {
  EXPECT_EQ(refusal(numbers(), "twelf"),
            "unknown number 'twelf'; did you mean 'twelve'? Known: seventeen, twelve");
  EXPECT_EQ(refusal(numbers(), "seventen"),
            "unknown number 'seventen'; did you mean 'seventeen'? Known: seventeen, "
            "twelve");
  EXPECT_NE(refusal(numbers(), ""), "found");
  EXPECT_EQ(refusal(Numbers("number", {}), "one"),
            "unknown number 'one': none is registered");
}

TEST(RegistryTest, ASecondOneOfTheSameNameReplacesTheFirst) {
  Numbers registry = numbers();
  registry.add("twelve", [] { return 13; });
  registry.add("one", [] { return 1; });
  EXPECT_EQ(registry.at("twelve")(), 13);
  EXPECT_EQ(registry.at("one")(), 1);
  EXPECT_EQ(registry.names().size(), 3U);
}

TEST(RegistryTest, EveryPartIsKnownByTheNameOfTheOptions) {
  EXPECT_EQ(models().names(),
            (std::vector<std::string>{"convnet", "convnet-plain", "linear", "mlp",
                                      "mlp-wide", "resnet18", "resnet50", "transformer",
                                      "transformer-tied"}));
  EXPECT_EQ(datasets().names(),
            (std::vector<std::string>{"cifar10", "fashion-mnist", "features100",
                                      "mnist", "synthetic", "tokens"}));
  EXPECT_EQ(samplers().names(),
            (std::vector<std::string>{"distributed", "random", "ranks-in-turn"}));
  const TrainOptions defaults;
  EXPECT_EQ(refusal(models(), defaults.model), "found");
  EXPECT_EQ(refusal(datasets(), defaults.dataset), "found");
  EXPECT_EQ(refusal(process_groups(), "gloo"), "found");
  EXPECT_NE(refusal(models(), "mpl").find("did you mean 'mlp'?"), std::string::npos);
}

std::string backend_or_refusal(const std::string& asked, const World& world) {
  TrainOptions options;
  options.device = "cpu";
  options.backend = asked;
  try {
    return resolve_backend(options, world);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(RegistryTest, TheBackendSuitsTheCardsAndTheHosts) {
  const World one_host = launch::on_one_machine(4);
  World two_hosts = one_host;
  two_hosts.local_world_size = 2;
  EXPECT_EQ(backend_or_refusal("auto", one_host), "shm");
  EXPECT_EQ(backend_or_refusal("auto", two_hosts), "gloo");
  EXPECT_EQ(backend_or_refusal("gloo", one_host), "gloo");
  EXPECT_EQ(backend_or_refusal("shm", one_host), "shm");
  EXPECT_EQ(backend_or_refusal("nccl", one_host),
            "--backend nccl moves bytes between CUDA cards and --device cpu has none "
            "here; try --backend gloo");
  EXPECT_EQ(backend_or_refusal("shm", two_hosts),
            "--backend shm serves the emulated cards of one host, and these are on "
            "several; try --backend gloo");
  EXPECT_NE(backend_or_refusal("glo", one_host).find("did you mean 'gloo'?"),
            std::string::npos);
}

TEST(CatalogTest, ChannelsLastIsALayoutAndNoOtherModel) {
  TrainOptions options;
  options.model = "convnet";
  options.device = "cpu";
  const Card card = make_cards(options, 1).front();
  const Network plain = make_model(options, card);
  options.channels_last = true;
  const Network last = make_model(options, card);
  const at::Tensor first_weight = last->parameters().front();  // [16, 1, 5, 5]
  EXPECT_EQ(first_weight.strides(), at::IntArrayRef({25, 1, 5, 1}));
  const auto ours = plain->parameters();
  const auto theirs = last->parameters();
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(ours[i].equal(theirs[i])) << i;
  at::manual_seed(0);
  const at::Tensor images = at::rand({5, 1, 28, 28});
  Network(plain)->eval();
  Network(last)->eval();
  const at::Tensor logits = Network(plain)->forward(images);
  EXPECT_TRUE(Network(last)->forward(images).allclose(logits, 1e-5, 1e-5));
}

TEST(CatalogTest, AModelIsTheSeedsAndCountsAsParameters) {
  TrainOptions options;
  options.model = "convnet";
  options.device = "cpu";
  options.precision = "fp64";
  const Card card = make_cards(options, 1).front();
  const CardScope scope(card);
  const Network model = make_model(options, card);
  int64_t bytes = 0;
  for (const auto& tensors : {model->parameters(), model->buffers()}) {
    for (const at::Tensor& tensor : tensors)
      bytes += static_cast<int64_t>(tensor.nbytes());
  }
  EXPECT_EQ(model->parameters().front().scalar_type(), at::kDouble);
  const auto live = device::card_bytes(0).live_by_category;
  EXPECT_EQ(live[static_cast<size_t>(device::Category::parameters)], bytes);
  EXPECT_TRUE(make_model(options, card)->parameters()[0].equal(model->parameters()[0]));
  options.seed = 1;
  EXPECT_FALSE(
      make_model(options, card)->parameters()[0].equal(model->parameters()[0]));
}

TEST(CatalogTest, ModelsWithBatchNormAreKnownByName) {
  TrainOptions options;
  options.vocab_size = 10;
  options.device = "cpu";
  const Card card = make_cards(options, 1).front();
  for (const std::string& name : models().names()) {
    options.model = name;
    bool found = false;
    for (const auto& buffer : make_model(options, card)->named_buffers()) {
      found = found || buffer.key().ends_with("running_mean");
    }
    EXPECT_EQ(has_batch_norm(name), found) << name;
  }
}

TEST(CatalogTest, PrecisionsAreThoseOfTheOptions) {
  TrainOptions options;
  EXPECT_EQ(scalar_type(options), at::kFloat);
  options.precision = "fp64";
  EXPECT_EQ(scalar_type(options), at::kDouble);
  options.precision = "fp16";
  EXPECT_THROW(scalar_type(options), std::invalid_argument);
}

// What LibTorch says while ranks meet is kept quiet; of what it warns later (autograd,
// say) nothing may be lost.
TEST(ProcessGroups, WarningsAreHeardOnceTheRanksHaveMet) {
  TrainOptions options;
  options.device = "cpu";
  for (const char* backend : {"gloo", "shm"}) {
    options.backend = backend;
    const auto group = make_process_group(options, World{});
    testing::internal::CaptureStderr();
    TORCH_WARN("a warning after ", backend);
    const std::string heard = testing::internal::GetCapturedStderr();
    EXPECT_NE(heard.find(std::string("a warning after ") + backend), std::string::npos)
        << heard;
  }
}

}  // namespace
}  // namespace lockstep::training
