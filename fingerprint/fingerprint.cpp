#include "fingerprint/fingerprint.h"

#include <algorithm>
#include <sstream>

namespace lockstep::fingerprint {
namespace {

// Of a list of more tensors than these only their number is told.
constexpr size_t kTold = 4;

// All ranks that call the same.
struct Party {
  Fingerprint call;
  std::vector<int> ranks;
};

std::vector<Party> parties_of(const std::vector<std::optional<Fingerprint>>& of_ranks) {
  std::vector<Party> parties;
  for (size_t rank = 0; rank < of_ranks.size(); ++rank) {
    if (!of_ranks[rank]) continue;
    const auto same =
        std::find_if(parties.begin(), parties.end(),
                     [&](const Party& party) { return party.call == *of_ranks[rank]; });
    Party& party = same != parties.end()
                       ? *same
                       : parties.emplace_back(Party{*of_ranks[rank], {}});
    party.ranks.push_back(static_cast<int>(rank));
  }
  // The largest first; of equal ones that of the lowest rank.
  std::stable_sort(parties.begin(), parties.end(), [](const Party& a, const Party& b) {
    return a.ranks.size() > b.ranks.size();
  });
  return parties;
}

std::string first_difference(const Fingerprint& one, const Fingerprint& other) {
  if (one.collective != other.collective) return "the collective";
  if (one.tensors.size() != other.tensors.size()) return "the number of tensors";
  for (size_t i = 0; i < one.tensors.size(); ++i) {
    const Fingerprint::Shape &a = one.tensors[i], &b = other.tensors[i];
    if (a == b) continue;
    const bool sizes = a.sizes != b.sizes;
    std::string what = sizes ? "the sizes" : "the type";
    if (one.tensors.size() == 1) return what;
    return what + " of tensor " + std::to_string(i) + ": " +
           (sizes ? a.sizes : a.type) + " and " + (sizes ? b.sizes : b.type);
  }
  return one.root != other.root ? "the root" : "the reduction";
}

}  // namespace

Fingerprint& Fingerprint::of(const at::Tensor& tensor) {
  std::ostringstream sizes;
  sizes << tensor.sizes();
  // What is added up side by side must lie alike.
  if (!tensor.is_contiguous()) sizes << " strides " << tensor.strides();
  std::string type = c10::toString(tensor.scalar_type());
  if (!tensor.is_cpu())
    type += " on " + c10::DeviceTypeName(tensor.device().type(), true);
  tensors.push_back({sizes.str(), type});
  return *this;
}

Fingerprint& Fingerprint::of(const std::vector<at::Tensor>& all) {
  for (const at::Tensor& tensor : all) of(tensor);
  return *this;
}

std::string to_text(const Fingerprint& fingerprint) {
  std::string text = fingerprint.collective + '\n' + fingerprint.reduction + '\n' +
                     fingerprint.root + '\n';
  for (const Fingerprint::Shape& shape : fingerprint.tensors) {
    text += shape.sizes + '\n' + shape.type + '\n';
  }
  return text;
}

Fingerprint fingerprint_from(const std::string& text) {
  std::istringstream lines(text);
  Fingerprint result;
  std::getline(lines, result.collective);
  std::getline(lines, result.reduction);
  std::getline(lines, result.root);
  Fingerprint::Shape shape;
  while (std::getline(lines, shape.sizes) && std::getline(lines, shape.type)) {
    result.tensors.push_back(shape);
  }
  return result;
}

std::string describe(const Fingerprint& fingerprint) {
  std::string text = fingerprint.collective;
  const auto& tensors = fingerprint.tensors;
  if (tensors.size() > kTold) {
    text += " of " + std::to_string(tensors.size()) + " tensors";
  } else {
    for (size_t i = 0; i < tensors.size(); ++i) {
      text += (i == 0 ? " of " : ", ") + tensors[i].sizes + " " + tensors[i].type;
    }
  }
  if (!fingerprint.root.empty()) {
    text += (fingerprint.collective == "reduce" ? " to root " : " from root ") +
            fingerprint.root;
  }
  if (!fingerprint.reduction.empty()) text += ", " + fingerprint.reduction;
  return text;
}

std::string list_of(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  for (size_t i = 0; i < ranks.size(); ++i) {
    text += (i == 0 ? " " : ", ") + std::to_string(ranks[i]);
  }
  return text;
}

std::optional<std::string> disagreement(
    const std::vector<std::optional<Fingerprint>>& of_ranks) {
  const std::vector<Party> parties = parties_of(of_ranks);
  if (parties.size() < 2) return std::nullopt;
  const Party& most = parties.front();
  const bool majority = most.ranks.size() > parties[1].ranks.size();
  std::string text;
  for (size_t i = majority ? 1 : 0; i < parties.size(); ++i) {
    const Party& party = parties[i];
    const char* calls = party.ranks.size() == 1 ? " calls " : " call ";
    text += list_of(party.ranks) + calls + describe(party.call) + ", ";
  }
  if (majority) text += "the others " + describe(most.call) + ", ";
  text.resize(text.size() - 2);
  return text + "; they differ in " + first_difference(parties[1].call, most.call);
}

}  // namespace lockstep::fingerprint
