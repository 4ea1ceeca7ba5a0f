#include "registry/registry.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <set>
#include <stdexcept>

namespace lockstep {
namespace {

// Levenshtein's distance from what was typed to a name. Letters to add count half:
// people shorten names ("fashion", "bucket") more often than they take one for another.
size_t edit_distance(const std::string& a, const std::string& b) {
  constexpr size_t kAdded = 1, kDropped = 2, kReplaced = 2, kOtherCase = 1;
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i * kDropped;
    for (size_t j = 1; j <= b.size(); ++j) {
      const auto lower = [](char letter) { return std::tolower(letter & 0xff); };
      const bool same = a[i - 1] == b[j - 1];
      const bool but_for_case = lower(a[i - 1]) == lower(b[j - 1]);
      const size_t substituted = diagonal + (same           ? 0
                                             : but_for_case ? kOtherCase
                                                            : kReplaced);
      diagonal = row[j];
      row[j] = std::min({row[j] + kDropped, row[j - 1] + kAdded, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_of_known(const std::string& name,
                             const std::vector<std::string>& known) {
  if (known.empty()) return "none is known";
  std::string list;
  for (const std::string& one : known) list += (list.empty() ? "" : ", ") + one;
  const std::string bare = without_scope(name);
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(bare, a) < edit_distance(bare, b);
      });
  return "did you mean '" + *nearest + "'? Known: " + list;
}

void throw_unknown_name(const std::string& kind, const std::string& name,
                        const std::vector<std::string>& known) {
  const std::string message = "unknown " + kind + " '" + name + "'";
  if (known.empty()) throw std::invalid_argument(message + ": none is registered");
  throw std::invalid_argument(message + "; " + nearest_of_known(name, known));
}

std::vector<std::string> scopes_of(const std::vector<std::string>& names) {
  std::set<std::string> scopes = {"lockstep"};
  for (const std::string& name : names) {
    const size_t dot = name.find('.');
    if (dot != std::string::npos) scopes.insert(name.substr(0, dot));
  }
  return {scopes.begin(), scopes.end()};
}

std::string without_scope(const std::string& name) {
  const std::string own = "lockstep.";
  return name.rfind(own, 0) == 0 ? name.substr(own.size()) : name;
}

}  // namespace lockstep
