#include "data_parallel/replicas.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <unordered_map>

#include "comm/nccl.h"
#include "device/ledger_allocator.h"
#include "device/stage.h"

namespace lockstep::data_parallel {
namespace {

using device::Category;

// Cloneable::clone() makes a new module first, and its layers draw parameters that
// nobody wants: the generator stands afterwards where it stood before.
class SameRandomness {
 public:
  SameRandomness() : generator_(at::detail::getDefaultCPUGenerator()) {
    const std::lock_guard lock(generator_.mutex());
    state_ = generator_.get_state();
  }
  ~SameRandomness() {
    const std::lock_guard lock(generator_.mutex());
    generator_.set_state(state_);
  }
  SameRandomness(const SameRandomness&) = delete;
  SameRandomness& operator=(const SameRandomness&) = delete;

 private:
  at::Generator generator_;
  at::Tensor state_;
};

}  // namespace

Replicas::Replicas(ModulePtr module, const std::vector<Card>& cards, bool every_step,
                   CardThreads& threads)
    : cards_(cards),
      every_step_(every_step),
      threads_(threads),
      layout_(state_of(*module)),
      copies_(cards.size()) {
  copies_[0].module = std::move(module);
  check_card();
}

// On the CPU every card is the same device to LibTorch; its ledger knows better.
void Replicas::check_card() const {
  const Card& primary = cards_.front();
  const auto check = [&](const std::string& kind, const auto& named) {
    for (const auto& item : named) {
      const std::optional<int> card = device::card_of(item.value());
      if (!card || *card == primary.index()) continue;
      const std::string place =
          *card == device::kHost ? "the host" : "card " + std::to_string(*card);
      throw std::invalid_argument(kind + " " + item.key() + " is on " + place +
                                  ", and DataParallel wants the module on " +
                                  primary.name() +
                                  ", the first of its cards; make it "
                                  "there, or name that card first");
    }
  };
  check("parameter", copies_[0].module->named_parameters());
  check("buffer", copies_[0].module->named_buffers());
}

void Replicas::prepare(size_t count) {
  if (every_step_) drop_copies();
  if (count == 1) return;
  if (!every_step_) flatten_module();
  make_copies(count);
  if (cards_[0].emulated() || !copies_[0].flat.defined()) return;
  Tensors flats;
  for (size_t i = 0; i < count; ++i) flats.push_back(copies_[i].flat);
  comm::nccl_broadcast(flats);
}

void Replicas::make_copies(size_t count) {
  const auto first = copies_.begin() + 1;
  const auto end = copies_.begin() + static_cast<std::ptrdiff_t>(count);
  if (std::all_of(first, end, [](const Copy& copy) { return copy.module; })) return;
  const SameRandomness randomness;
  threads_.run(count, [this](size_t replica) {
    const device::StageScope stage("replicate");
    const device::CategoryScope category(Category::replicas);
    if (replica == 0 || copies_[replica].module) return;
    // Kept once it is whole: a card that is full throws half-way.
    Copy made = make_copy(replica);
    if (!every_step_) made.flat = layout_.flatten(state_of(*made.module));
    copies_[replica] = std::move(made);
  });
}

void Replicas::refresh(size_t replica) {
  if (replica == 0 || every_step_) return;
  const at::NoGradGuard no_grad;
  take_modes(*copies_[replica].module);
  if (!copies_[0].flat.defined() || !cards_[0].emulated()) return;
  copies_[replica].flat.copy_(copies_[0].flat, /*non_blocking=*/true);
}

void Replicas::flatten_module() {
  const Tensors state = state_of(*copies_[0].module);
  at::Tensor& flat = copies_[0].flat;
  if (flat.defined() && layout_.lies_in(flat, state)) return;
  check_card();
  drop_copies();  // of what the module was before
  layout_ = FlatLayout(state);
  const device::AccountScope account({cards_[0].index(), Category::parameters});
  flat = layout_.flatten(state);
}

Replicas::Copy Replicas::make_copy(size_t replica) const {
  const at::NoGradGuard no_grad;
  Copy copy;
  copy.module = copies_[0].module->clone(cards_[replica].torch_device());
  take_modes(*copy.module);  // clone() forgets them
  copy.tags = std::make_unique<device::GradientTags>(copy.module->parameters());
  return copy;
}

void Replicas::take_modes(torch::nn::Module& copy) const {
  const auto originals = copies_[0].module->modules();
  const auto modules = copy.modules();
  for (size_t i = 0; i < modules.size(); ++i) {
    // From the outside in: train() reaches what lies inside as well.
    if (modules[i]->is_training() != originals[i]->is_training()) {
      modules[i]->train(originals[i]->is_training());
    }
  }
  const Tensors wanted = copies_[0].module->parameters();
  Tensors parameters = copy.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].mutable_grad().reset();
    if (parameters[i].requires_grad() != wanted[i].requires_grad()) {
      parameters[i].requires_grad_(wanted[i].requires_grad());
    }
  }
}

Tensors Replicas::trained(size_t replica) const {
  const at::NoGradGuard no_grad;
  const Tensors originals = copies_[0].module->parameters();
  const Tensors parameters = copies_[replica].module->parameters();
  Tensors trained;
  std::unordered_map<const void*, at::Tensor> first;  // by the original
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!originals[i].requires_grad()) continue;
    const auto [known, fresh] =
        first.emplace(originals[i].unsafeGetTensorImpl(), parameters[i]);
    if (fresh) {
      trained.push_back(parameters[i]);
    } else if (!known->second.is_same(parameters[i])) {
      const at::Tensor second = std::exchange(parameters[i].mutable_grad(), {});
      at::Tensor& sum = known->second.mutable_grad();
      if (!second.defined()) continue;
      sum = sum.defined() ? sum.add_(second) : second;
    }
  }
  return trained;
}

void Replicas::finish_step() {
  if (every_step_) return drop_copies();
  for (size_t replica = 1; replica < copies_.size(); ++replica) {
    if (!copies_[replica].module) continue;
    for (at::Tensor& parameter : copies_[replica].module->parameters()) {
      parameter.mutable_grad().reset();
    }
  }
}

void Replicas::drop_copies() {
  for (size_t replica = 1; replica < copies_.size(); ++replica) {
    copies_[replica] = Copy();
  }
}

}  // namespace lockstep::data_parallel
