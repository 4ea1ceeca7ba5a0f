// The experiments of "PyTorch Distributed: Experiences on Accelerating Data Parallel
// Training" (Li et al., VLDB 2020) foretold: fitted on ResNet-50 with few cards, held
// against the rest of the figures, which stand in ddp_paper.csv as read off.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "predict/fit.h"
#include "predict/step_time.h"

namespace lockstep::predict {
namespace {

constexpr double kMiB = 1 << 20;

struct Point {
  int x = 0;  // cards, or MiB of a bucket
  double seconds = 0;
};

std::vector<Point> points(const std::string& backend, const std::string& setting) {
  std::ifstream lines(std::string(std::getenv("LOCKSTEP_SOURCE")) +
                      "/predict/ddp_paper.csv");
  std::vector<Point> found;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string figure, model, of_backend, of_setting, x, seconds;
    for (std::string* field :
         {&figure, &model, &of_backend, &of_setting, &x, &seconds}) {
      std::getline(fields, *field, ',');
    }
    if (of_backend == backend && of_setting == setting) {
      found.push_back({std::stoi(x), std::stod(seconds)});
    }
  }
  EXPECT_GE(found.size(), 5u) << backend << " " << setting;
  return found;
}

// A layer of ResNet-50 on images of 224 x 224: its parameters' elements, and what its
// backward pass costs beside the others'.
struct Layer {
  std::vector<double> parameters;
  double cost = 0;
};

std::vector<Layer> resnet50() {
  // Reading and writing an activation costs as much as so many multiplications.
  constexpr double kMemory = 20;
  std::vector<Layer> layers;
  const auto convolve = [&](double in, double out, double kernel, double side) {
    const double weights = in * out * kernel * kernel, pixels = side * side;
    layers.push_back({{weights}, weights * pixels + kMemory * pixels * out});
    layers.push_back({{out, out}, kMemory * pixels * out});  // batch norm
  };
  convolve(3, 64, 7, 112);
  double in = 64, side = 56;
  for (const auto& [blocks, width] : {std::pair(3, 64.0), std::pair(4, 128.0),
                                      std::pair(6, 256.0), std::pair(3, 512.0)}) {
    for (int block = 0; block < blocks; ++block) {
      const double before = side;
      if (block == 0 && width > 64) side /= 2;
      convolve(in, width, 1, before);
      convolve(width, width, 3, side);
      convolve(width, 4 * width, 1, side);
      if (block == 0) convolve(in, 4 * width, 1, side);
      in = 4 * width;
    }
  }
  layers.push_back({{2048 * 1000, 1000}, 2048 * 1000});
  return layers;
}

// The paper's one-card step, shared out as its figure 6 does: .15 forward, .395
// backward, .015 optimizer.
CardStep one_card(double seconds) {
  constexpr double kForward = 0.15, kBackward = 0.395, kOptimizer = 0.015;
  const double unit = seconds / (kForward + kBackward + kOptimizer);
  CardStep card;
  card.forward_s = kForward * unit;
  card.backward_s = kBackward * unit;
  card.optimizer_s = kOptimizer * unit;
  std::vector<Layer> layers = resnet50();
  std::reverse(layers.begin(), layers.end());
  double all = 0, done = 0;
  for (const Layer& layer : layers) all += layer.cost;
  for (const Layer& layer : layers) {
    done += layer.cost;
    for (const double elements : layer.parameters) {
      card.gradients.push_back({done / all * card.backward_s, elements * 4});
    }
  }
  return card;
}

// 8 cards a host, 100 Gbit/s between hosts; the rest is what the first points tell.
Cluster guess(const std::string& backend) {
  Cluster cluster;
  cluster.call_s = 100e-6;
  if (backend == "nccl") {
    cluster.inside = cluster.between = {20e-6, 5e9};
    cluster.contention = 0.2;
  } else {
    // Over the host's memory and its processors.
    cluster.inside = cluster.between = {20e-6, 2e9};
    cluster.staging_bytes_per_s = 3e9;
    cluster.contention = 0.3;
  }
  return cluster;
}

struct Outcome {
  double mean_error = 0;
  std::vector<double> sweep;  // [i]: predicted at the i-th bucket cap
};

double swept(const CardStep& card, const Cluster& cluster, int cap_mib) {
  Buckets buckets;
  buckets.cap_bytes = cap_mib * kMiB;
  return ddp_step(card, buckets, cluster, 16).seconds;
}

// Known are the series up to so many cards, and the sweep's first point.
Outcome foretell(const std::string& backend, int most_cards_of_fit) {
  const std::vector<Point> series = points(backend, "exclusive_rr1");
  const CardStep card = one_card(series.front().seconds);
  std::vector<Measured> known;
  for (const Point& point : series) {
    if (point.x == 1 || point.x > most_cards_of_fit) continue;
    known.push_back({[&card, point](const Cluster& cluster) {
                       return ddp_step(card, {}, cluster, point.x).seconds;
                     },
                     point.seconds});
  }
  const std::vector<Point> caps = points(backend, "16gpu_bucketMB");
  known.push_back(
      {[&](const Cluster& cluster) { return swept(card, cluster, caps.front().x); },
       caps.front().seconds});
  const Cluster cluster = fit(guess(backend), known);
  std::printf(
      "%s: inside %.0f us %.2f GB/s, between %.0f us %.2f GB/s, call %.0f us, "
      "contention %.2f\n",
      backend.c_str(), cluster.inside.latency_s * 1e6,
      cluster.inside.bytes_per_s * 1e-9, cluster.between.latency_s * 1e6,
      cluster.between.bytes_per_s * 1e-9, cluster.call_s * 1e6, cluster.contention);
  Outcome outcome;
  for (const Point& point : series) {
    const double seconds = ddp_step(card, {}, cluster, point.x).seconds;
    const double error = seconds / point.seconds - 1;
    std::printf("  %2d cards: %.4f s, predicted %.4f (%+.1f %%)\n", point.x,
                point.seconds, seconds, 100 * error);
    outcome.mean_error += std::abs(error) / static_cast<double>(series.size());
  }
  for (const Point& point : caps) {
    outcome.sweep.push_back(swept(card, cluster, point.x));
    std::printf("  %2d MiB: %.3f s, predicted %.3f\n", point.x, point.seconds,
                outcome.sweep.back());
  }
  std::printf("  mean error %.2f %%\n", 100 * outcome.mean_error);
  return outcome;
}

size_t best(const std::vector<double>& sweep) {
  return static_cast<size_t>(std::min_element(sweep.begin(), sweep.end()) -
                             sweep.begin());
}

std::vector<double> measured_sweep(const std::string& backend) {
  std::vector<double> seconds;
  for (const Point& point : points(backend, "16gpu_bucketMB")) {
    seconds.push_back(point.seconds);
  }
  return seconds;
}

TEST(DdpPaper, TheLayersAreResNet50s) {
  double elements = 0;
  size_t tensors = 0;
  for (const Layer& layer : resnet50()) {
    tensors += layer.parameters.size();
    for (const double parameter : layer.parameters) elements += parameter;
  }
  EXPECT_EQ(elements, 25557032);
  EXPECT_EQ(tensors, 161u);
}

TEST(DdpPaper, NcclFrom1To32Cards) {
  const Outcome nccl = foretell("nccl", 16);
  EXPECT_LE(nccl.mean_error, 0.05);
  EXPECT_NEAR(static_cast<double>(best(nccl.sweep)),
              static_cast<double>(best(measured_sweep("nccl"))), 1);
}

TEST(DdpPaper, GlooFrom1To32Cards) {
  const Outcome gloo = foretell("gloo", 16);
  EXPECT_LE(gloo.mean_error, 0.12);
  EXPECT_NEAR(static_cast<double>(best(gloo.sweep)),
              static_cast<double>(best(measured_sweep("gloo"))), 1);
}

}  // namespace
}  // namespace lockstep::predict
