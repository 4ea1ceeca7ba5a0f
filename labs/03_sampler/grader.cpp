// Lab 3: the samples that ranks take, beside those that PyTorch's sampler deals them.
#include "grading/grader.h"

#include <map>
#include <random>
#include <set>

#include "labs/03_sampler/sampler_job.h"
#include "labs/graders/listed.h"
#include "labs/graders/simulated_training.h"
#include "labs/graders/small_run.h"
#include "single_gpu/train.h"

namespace lockstep::labs {
namespace {

using grading::Misconception;
using grading::Refused;

constexpr char kSampler[] = "3_ddp.md#sampler";
constexpr char kRank[] = "3_ddp.md#rank";
constexpr char kEpoch[] = "3_ddp.md#set-epoch";
constexpr char kPadding[] = "3_ddp.md#padding";
constexpr size_t kShown = 6;  // of a rank's samples

// From where they differ.
std::string instead(int rank, const Indices& found, const Indices& wanted) {
  const auto [at, of_wanted] =
      std::mismatch(found.begin(), found.end(), wanted.begin(), wanted.end());
  const auto same = at - found.begin();
  std::string text = "rank " + std::to_string(rank) + " takes ";
  if (same > 0) text += "after " + std::to_string(same) + " right ones ";
  return text + listed(Indices(at, found.end()), kShown) + ", not " +
         listed(Indices(of_wanted, wanted.end()), kShown);
}

// In a job whose ranks divide its samples.
void look_at_whole(const SamplerJob& job) {
  const std::vector<Indices> all = job.indices();
  std::map<int64_t, int> taken;
  for (const Indices& mine : all) {
    for (const int64_t sample : mine) ++taken[sample];
  }
  if (taken.empty() || taken.begin()->first < 0 ||
      taken.rbegin()->first >= job.samples) {
    throw Refused({"no_sample", "samples are numbered from 0 to size - 1", kSampler},
                  job.text() + "some rank takes what is no sample, or none take any");
  }
  const int64_t lost = job.samples - static_cast<int64_t>(taken.size());
  int64_t twice = 0;
  for (const auto& [sample, times] : taken) twice += times > 1;
  if (lost == 0 && twice == 0) return;
  const std::string saw = job.text() + std::to_string(lost) + " are taken by nobody, " +
                          std::to_string(twice) + " more than once";
  if (std::ssize(all[0]) > job.each()) {
    throw Refused(
        {"more_than_a_share",
         "where world_size divides the samples each rank takes samples / world_size",
         kPadding},
        saw + "; rank 0 takes " + std::to_string(all[0].size()) + ", not " +
            std::to_string(job.each()));
  }
  if (all[0] == all[1]) {
    throw Refused(
        {"every_ranks_are_the_same",
         "each rank takes a share of its own: which one, its rank says", kRank},
        saw + "; ranks 0 and 1 take the same");
  }
  const auto step = static_cast<size_t>(job.cards_of_machine);
  if (step < all.size() && all[0] == all[step]) {
    throw Refused({"local_rank_for_rank",
                   "local_rank counts the cards of one machine; rank, over all "
                   "machines, says which samples are mine",
                   kRank},
                  saw + "; ranks 0 and " + std::to_string(step) + " take the same");
  }
  if (twice == 0) {
    throw Refused({"lost_samples", "all ranks together take every sample", kSampler},
                  saw);
  }
  throw Refused(
      {"own_order",
       "all ranks deal from one order, shuffled from the same seed; orders of "
       "their own overlap",
       kSampler},
      saw);
}

void look_at_wholes(uint64_t seed) {
  look_at_whole({30, 3, 3, seed});
  look_at_whole({48, 4, 2, seed});
  look_at_whole({48, 8, 4, seed});
}

void look_at_order(uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10; ++i) {
    const auto ranks = static_cast<int>(2 + random() % 6);
    const SamplerJob job = {ranks * static_cast<int64_t>(5 + random() % 9), ranks,
                            ranks, random() % 1000};
    const std::vector<Indices> all = job.indices();
    const Indices order = job.order();
    for (int rank = 0; rank < ranks; ++rank) {
      const Indices& found = all[static_cast<size_t>(rank)];
      if (found == job.wanted(rank)) continue;
      const auto block = order.begin() + rank * job.each();
      if (std::equal(found.begin(), found.end(), block, block + job.each())) {
        throw Refused(
            {"contiguous_blocks",
             "ranks take turns, [rank::world_size]; then a step's samples are "
             "the ones that one card would take in it",
             kSampler},
            job.text() + instead(rank, found, job.wanted(rank)) +
                ": a block of the order");
      }
      throw Refused(
          {"other_order",
           "the order is randperm of a generator seeded with seed + epoch, on "
           "every rank, and rank r takes [r::world_size] of it",
           kSampler},
          job.text() + instead(rank, found, job.wanted(rank)));
    }
  }
}

void look_at_number(uint64_t seed) {
  for (const int ranks : {2, 3, 4, 7}) {
    const SamplerJob job = {23 + ranks % 2, ranks, ranks,
                            seed};  // none of them divides it
    const std::vector<Indices> all = job.indices();
    std::set<size_t> numbers;
    for (const Indices& mine : all) numbers.insert(mine.size());
    if (numbers.size() > 1) {
      throw Refused({"no_padding",
                     "a rank with a sample less has perhaps a batch less, and is gone "
                     "while the others wait for its gradients; the order is padded",
                     kPadding},
                    job.text() + "some take " + std::to_string(*numbers.begin()) +
                        ", some " + std::to_string(*numbers.rbegin()) + ", not " +
                        std::to_string(job.each()) + " each");
    }
    const auto each = static_cast<int64_t>(*numbers.begin());
    if (each != job.each()) {
      throw Refused({"rest_lost",
                     "without drop_last no sample is left out: each rank takes "
                     "size / world_size, rounded up",
                     kPadding},
                    job.text() + "each takes " + std::to_string(each) + ", not " +
                        std::to_string(job.each()));
    }
    const int64_t told = job.sampler(0)->size();
    if (told == each) continue;
    throw Refused({"size_of_another",
                   "size() is how many samples this rank takes; the loader counts "
                   "batches by it",
                   kPadding},
                  job.text() + "size() is " + std::to_string(told) + ", not " +
                      std::to_string(each));
  }
}

void expect_wanted(const SamplerJob& job, const Misconception& otherwise) {
  for (int rank = 0; rank < job.ranks; ++rank) {
    const Indices found = job.sampler(rank)->indices();
    if (found == job.wanted(rank)) continue;
    throw Refused(otherwise, job.text() + instead(rank, found, job.wanted(rank)));
  }
}

void look_at_padding(uint64_t seed) {
  const Misconception from_start{
      "padded_otherwise",
      "the order is padded by its own beginning: past its end it starts again",
      kPadding};
  const Misconception wraps{
      "wraps_once",
      "with fewer samples than ranks the order starts again more than once", kPadding};
  for (const int ranks : {2, 4, 6}) {
    expect_wanted({4 * ranks + 1, ranks, ranks, seed}, from_start);
  }
  expect_wanted({5, 8, 8, seed}, from_start);
  expect_wanted({3, 8, 8, seed}, wraps);
  expect_wanted({1, 5, 5, seed}, wraps);
}

void look_at_drop_last(uint64_t seed) {
  const Misconception otherwise{
      "drop_last_ignored",
      "with drop_last the order is cut to the last multiple of world_size, not padded",
      kPadding};
  for (const SamplerJob& job :
       {SamplerJob{23, 4, 4, seed, true}, SamplerJob{24, 4, 4, seed, true},
        SamplerJob{3, 8, 8, seed, true}}) {
    expect_wanted(job, otherwise);
  }
}

void look_at_epochs(uint64_t seed) {
  const SamplerJob job = {40, 2, 2, seed % 1000};
  const Misconception goes_on{
      "goes_on_shuffling",
      "an epoch's order follows from seed + epoch alone, not from what was shuffled "
      "before; else a resumed run deals another one",
      kEpoch};
  const training::SamplerPtr sampler = job.sampler(1);
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    sampler->set_epoch(epoch);
    const Indices found = sampler->indices();
    const std::string saw = "in epoch " + std::to_string(epoch) + " " +
                            instead(1, found, job.wanted(1, epoch));
    if (epoch > 0 && found == job.wanted(1, 0)) {
      throw Refused({"epoch_ignored",
                     "the order follows from seed + epoch(); without it every epoch "
                     "deals the same batches",
                     kEpoch},
                    saw + ": epoch 0's");
    }
    const Indices resumed = job.indices(epoch)[1];
    if (found != resumed)
      throw Refused(goes_on, saw + "; resumed there " + listed(resumed, kShown));
    if (found == job.wanted(1, epoch)) continue;
    throw Refused({"other_epochs", "the generator's seed is seed + epoch()", kEpoch},
                  saw);
  }
  const Indices again = sampler->indices();
  if (again == job.wanted(1, 3)) return;
  throw Refused(goes_on,
                "asked again in epoch 3 " + instead(1, again, job.wanted(1, 3)));
}

// Two machines of two cards, as the real loop runs on them.
void look_at_training(uint64_t seed) {
  const int ranks = 4;
  TrainOptions options = small_run(seed, 40);
  options.batch_size = 20;
  const TrainReport one_card = single_gpu::train(options, World());

  options.batch_size = 20 / ranks;
  options.sampler = "student";
  const SamplerJob job = {40, ranks, 2};
  predict::Cluster cluster;
  cluster.cards_per_host = job.cards_of_machine;
  cluster.inside = predict::link_named("pcie");
  cluster.between = predict::link_named("1gbit");
  const TrainReport found = train_simulated(options, ranks, cluster,
                                            [&](int rank) { return job.world(rank); });
  expect_losses(found, one_card,
                {"not_one_cards_losses",
                 "the local batches of a step are together the batch that one card "
                 "takes in it",
                 kSampler});
}

grading::Lab lab() {
  const Misconception share{"share", "ranks deal one order among them", kSampler};
  const Misconception padding{"padding", "every rank takes as many", kPadding};
  const Misconception epochs{"epochs", "every epoch has an order of its own", kEpoch};
  return {
      3,
      "sampler",
      "The sampler",
      {{"whole", "all ranks together take every sample once", 2, share,
        &look_at_wholes},
       {"order", "rank r takes [r::world_size] of the order of the seed", 2, share,
        &look_at_order},
       {"number", "every rank takes as many, and says so", 2, padding, &look_at_number},
       {"padding", "what is missing is taken from the order's beginning", 1, padding,
        &look_at_padding},
       {"drop_last", "with drop_last the rest is left out", 1, padding,
        &look_at_drop_last},
       {"epochs", "each epoch's order follows from seed + epoch alone", 1, epochs,
        &look_at_epochs},
       {"training", "DDP trains on it with the losses of one card", 1, share,
        &look_at_training}}};
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  return lockstep::grading::run_grader(lockstep::labs::lab(), argc, argv);
}
