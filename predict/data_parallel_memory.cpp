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

// `samples` cut as Tensor.chunk cuts them: all pieces but the last alike.
void add_chunks(std::vector<int64_t>& pieces, int64_t samples, int64_t cards) {
  const int64_t most = (samples + cards - 1) / cards;
  for (int64_t card = 0; card < cards; ++card) {
    pieces.push_back(std::clamp<int64_t>(samples - card * most, 0, most));
  }
}

// Samples of each card: an equal part each; or the primary card's is that much smaller,
// and the others share what is left.
std::vector<int64_t> pieces_of(int64_t whole, int64_t cards, double primary_share) {
  std::vector<int64_t> pieces;
  if (primary_share >= 1 || cards == 1) {
    add_chunks(pieces, whole, cards);
    return pieces;
  }
  const double part = primary_share * static_cast<double>(whole) / cards;
  pieces.push_back(std::max<int64_t>(1, std::llround(part)));
  add_chunks(pieces, whole - pieces[0], cards - 1);
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
    for (size_t card = 0; card < cards_.size(); ++card) {
      if (pieces_[card] > 0) forward(card);
    }
    if (!way_.loss_in_replicas) loss();
    for (size_t card = 0; card < cards_.size(); ++card) {
      if (pieces_[card] > 0) backward(card);
    }
    reduce();
    primary_.change(step_.part(Part::optimizer, whole_));
    std::vector<CardPeak> peaks;
    for (const CardReplay& card : cards_) peaks.push_back(card.peak());
    return peaks;
  }

 private:
  // The logits and what came of them go with the step before; the logits' gradient is
  // kept as long as they are. Replicas' losses went with their backward passes.
  void bring_the_batch() {
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

  // Its own logits are free once they are gathered; with the loss in the replica, once
  // that is computed.
  void forward(size_t index) {
    CardReplay& card = cards_[index];
    const int64_t samples = pieces_[index];
    if (index > 0) {
      card.change("replicas", step_.parameters());
      card.change(kInput, step_.images(samples));
      if (way_.loss_in_replicas) card.change(kInput, step_.labels(samples));
    }
    card.change(step_.part(Part::forward, samples));
    if (index > 0 && step_.copies_images()) {
      card.change(kInput, -step_.images(samples));
    }
    if (way_.loss_in_replicas) {
      card.change(step_.part(Part::loss, samples));
      card.change(kOutputs, -step_.logits(samples));
      return;
    }
    if (&card == &output_) card.change(kGathered, step_.logits(whole_));
    card.change(kActivations, -step_.logits(samples));
  }

  // Gathered logits are nobody's activations: they do not change category.
  void loss() {
    const int64_t logits = step_.logits(whole_);
    const int64_t labels = &output_ == &primary_ ? 0 : step_.labels(whole_);
    output_.change(kInput, labels);
    const std::vector<StepMemory::Change> changes = step_.part(Part::loss, whole_);
    for (size_t i = 0; i < changes.size(); ++i) {
      const auto& [category, bytes] = changes[i];
      if (*category == kActivations && bytes == -logits) {
        ++i;
      } else {
        output_.change(*category, bytes);
      }
    }
    output_.change(step_.part(Part::loss_backward, whole_));
    output_.change(kInput, -labels);
    // What else of the loss goes when all of backward is over; but the logits' gradient
    // stays.
    for (const auto& [category, bytes] : step_.part(Part::backward, whole_)) {
      if (*category == kOutputs && bytes != -logits) output_.change(kOutputs, bytes);
    }
  }

  void backward(size_t index) {
    CardReplay& card = cards_[index];
    const int64_t samples = pieces_[index];
    if (way_.loss_in_replicas) {
      card.change(step_.part(Part::loss_backward, samples));
      if (index > 0) card.change(kInput, -step_.labels(samples));
      card.change(step_.part(Part::backward, samples));
      card.change(kOutputs, -card.live(kOutputs));
    } else {
      const int64_t copy = &card == &output_ ? 0 : step_.logits(samples);
      card.change(kGathered, copy);
      for (const auto& [category, bytes] : step_.part(Part::backward, samples)) {
        if (*category != kOutputs) card.change(*category, bytes);
      }
      card.change(kGathered, -copy);
    }
    if (index > 0) card.change(kInput, -card.live(kInput));
  }

  // Every receiver has one gradient of another card beside its own; the others forget
  // theirs when all is added up.
  void reduce() {
    for (size_t apart = 1; apart < cards_.size(); apart *= 2) {
      for (size_t to = 0; to + apart < cards_.size(); to += 2 * apart) {
        if ((to > 0 && !way_.tree) || pieces_[to + apart] == 0) continue;
        for (const int64_t gradient : step_.gradients()) {
          cards_[to].pass_by(kGradients, gradient);
        }
      }
    }
    for (CardReplay& card : cards_) {
      if (&card != &primary_) card.change(kGradients, -card.live(kGradients));
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
