// DataParallel's step, card by card, in the order of data_parallel/: who holds what,
// and until when.
//
// The other cards hold a replica and their piece of the batch. The primary card holds
// the model and the whole batch, of which its own piece is a part; and, unless the loss
// is elsewhere, the gathered logits, the loss and its backward pass, of the whole batch
// all of them. As gradients come together, those that just arrived are on the card that
// adds them.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "predict/card_replay.h"
#include "predict/memory.h"

namespace lockstep::predict {
namespace {

const std::string kInput = "input";
const std::string kGradients = "gradients";
const std::string kOutputs = "outputs";
const std::string kGathered = "gathered_outputs";
const std::string kActivations = "activations";

// Samples of each card. An equal part each; or the primary card's is so many times
// that, and the others share what is left.
std::vector<int64_t> pieces_of(int64_t whole, int cards, double primary_share) {
  std::vector<int64_t> pieces;
  int64_t left = whole;
  for (int card = 0; card < cards; ++card) {
    const int64_t equal = (left + cards - card - 1) / (cards - card);
    const int64_t piece =
        card > 0 || primary_share == 1
            ? equal
            : std::llround(primary_share * static_cast<double>(whole) / cards);
    pieces.push_back(std::min(piece, left));
    left -= pieces.back();
  }
  return pieces;
}

class DataParallelStep {
 public:
  DataParallelStep(const StepMemory& step, const DataParallelWay& way, int cards,
                   int64_t local_batch)
      : step_(step),
        way_(way),
        cards_(static_cast<size_t>(cards)),
        whole_(local_batch * cards),
        pieces_(pieces_of(whole_, cards, way.primary_share)),
        output_(cards_[static_cast<size_t>(way.output_card)]) {}

  std::vector<CardPeak> peaks() {
    bring_the_batch();
    forward();
    if (!way_.loss_in_replicas) loss_of_the_whole();
    backward();
    way_.tree ? reduce_by_pairs() : reduce_in_turn();
    primary_.change(step_.part(Part::optimizer, whole_));
    std::vector<CardPeak> peaks;
    for (const CardReplay& card : cards_) peaks.push_back(card.peak());
    return peaks;
  }

 private:
  // The logits and what came of them go with the step before; the logits' gradient is
  // kept as long as they are.
  void bring_the_batch() {
    for (size_t card = 1; card < cards_.size(); ++card) {
      cards_[card].change("replicas", step_.parameters());
    }
    for (const Part part : {Part::before, Part::data, Part::zero_grad}) {
      for (const auto& [category, bytes] : step_.part(part, whole_)) {
        if (*category != kOutputs) {
          primary_.change(*category, bytes);
        } else if (!way_.loss_in_replicas) {
          output_.change(*category, bytes);
        }
      }
      if (part == Part::zero_grad || way_.loss_in_replicas) continue;
      const int64_t logits = step_.logits(whole_);
      output_.change(kGathered, part == Part::before ? logits : -logits);
    }
  }

  void forward() {
    for (size_t card = 0; card < cards_.size(); ++card) {
      const int64_t samples = pieces_[card];
      if (samples == 0) continue;
      if (card > 0) cards_[card].change(kInput, step_.images(samples));
      if (card > 0 && way_.loss_in_replicas) {
        cards_[card].change(kInput, step_.labels(samples));
      }
      cards_[card].change(step_.part(Part::forward, samples));
      if (card > 0 && step_.copies_images()) {
        cards_[card].change(kInput, -step_.images(samples));
      }
    }
  }

  // Gathered logits are nobody's activations: they do not change category, and nothing
  // before them is freed with their gradient.
  void loss_of_the_whole() {
    const int64_t logits = step_.logits(whole_);
    output_.change(kGathered, logits);
    if (way_.output_card != 0) output_.change(kInput, step_.labels(whole_));
    const std::vector<StepMemory::Change> changes = step_.part(Part::loss, whole_);
    for (size_t i = 0; i < changes.size(); ++i) {
      const bool retagged = i + 1 < changes.size() &&
                            *changes[i].category == kActivations &&
                            changes[i].bytes == -logits;
      if (retagged) {
        ++i;
      } else {
        output_.change(*changes[i].category, changes[i].bytes);
      }
    }
    output_.change(step_.part(Part::loss_backward, whole_));
    for (const auto& [category, bytes] : step_.part(Part::backward, whole_)) {
      if (*category == kOutputs && bytes != -logits) output_.change(kOutputs, bytes);
    }
    if (way_.output_card != 0) output_.change(kInput, -step_.labels(whole_));
  }

  void backward() {
    for (size_t card = 0; card < cards_.size(); ++card) {
      if (pieces_[card] > 0) backward_of(card);
    }
  }

  void backward_of(size_t index) {
    CardReplay& card = cards_[index];
    const int64_t samples = pieces_[index];
    const int64_t logits = step_.logits(samples);
    const bool copied = static_cast<int>(index) != way_.output_card;
    if (way_.loss_in_replicas) {
      card.change(step_.part(Part::loss, samples));
      card.change(step_.part(Part::loss_backward, samples));
      card.change(step_.part(Part::backward, samples));
      card.change(kOutputs, -card.live(kOutputs));
    } else {
      if (copied) card.change(kGathered, logits);
      for (const auto& [category, bytes] : step_.part(Part::backward, samples)) {
        if (*category != kOutputs) card.change(*category, bytes);
      }
      card.change(kActivations, -logits);
      if (copied) card.change(kGathered, -logits);
    }
    if (index > 0) card.change(kInput, -card.live(kInput));
  }

  // Parameter by parameter, and card by card.
  void reduce_in_turn() {
    for (const int64_t gradient : step_.gradients()) {
      for (size_t card = 1; card < cards_.size(); ++card) {
        if (pieces_[card] == 0) continue;
        primary_.pass_by(kGradients, gradient);
        cards_[card].change(kGradients, -gradient);
      }
    }
  }

  // 1 to 0 and 3 to 2, then 2 to 0: each pair parameter by parameter.
  void reduce_by_pairs() {
    for (size_t apart = 1; apart < cards_.size(); apart *= 2) {
      for (size_t to = 0; to + apart < cards_.size(); to += 2 * apart) {
        if (pieces_[to + apart] == 0) continue;
        for (const int64_t gradient : step_.gradients()) {
          cards_[to].pass_by(kGradients, gradient);
          cards_[to + apart].change(kGradients, -gradient);
        }
      }
    }
  }

  const StepMemory& step_;
  const DataParallelWay& way_;
  std::vector<CardReplay> cards_;
  int64_t whole_;
  std::vector<int64_t> pieces_;
  CardReplay& primary_ = cards_.front();
  CardReplay& output_;
};

}  // namespace

std::vector<CardPeak> data_parallel_peaks(const StepMemory& step,
                                          const DataParallelWay& way, int cards,
                                          int64_t local_batch) {
  if (way.output_card < 0 || way.output_card >= cards) {
    throw std::invalid_argument("output card " + std::to_string(way.output_card) +
                                " is none of " + std::to_string(cards) + " cards");
  }
  return DataParallelStep(step, way, cards, local_batch).peaks();
}

}  // namespace lockstep::predict
