// Which colour a name has. The ways of one mode are shades of that mode's colour, so
// that DataParallel is orange and DDP blue on every chart: two hues, and a lightness
// within each, that readers with any colour vision tell apart.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "charts/charts.h"

namespace lockstep::charts {
namespace {

using nlohmann::json;

using Colours = std::vector<std::string>;

const std::map<std::string, Colours>& shades() {
  static const std::map<std::string, Colours> all = {
      {"single", {"#4a4a4a", "#8d96a0"}},
      {"dp", {"#e69f00", "#a8580a", "#f2cc6b", "#6e3b05"}},
      {"ddp", {"#0072b2", "#56b4e9", "#0a3f6b", "#8aa4c8"}},
      {"bound", {"#cc79a7"}},
      {"horovod", {"#009e73", "#7fd1b9"}}};
  return all;
}

// "ddp-sharded reducer=flat" is a way of "ddp".
std::string family_of(const std::string& name) {
  return name.substr(0, name.find_first_of(" -"));
}

// The first that is not taken: of its own colour, of its family's shades where the
// specification knows families, of spare ones.
std::string colour_of(const std::string& name, const Colours& own, bool families,
                      std::set<std::string>& taken) {
  static const Colours spare = {"#6a51a3", "#009e73", "#cc79a7", "#8c6d31",
                                "#d55e00", "#56b4e9", "#b8b000", "#843c39"};
  Colours wanted = own;
  const auto family = shades().find(family_of(name));
  if (families && family != shades().end()) {
    wanted.insert(wanted.end(), family->second.begin(), family->second.end());
  }
  wanted.insert(wanted.end(), spare.begin(), spare.end());
  for (const std::string& colour : wanted) {
    if (taken.insert(colour).second) return colour;
  }
  return spare[taken.size() % spare.size()];
}

}  // namespace

void for_encodings(json& node, const std::string& field,
                   const std::function<void(json&)>& change) {
  if (node.is_object() && node.value("field", json()) == field) change(node);
  if (node.is_structured()) {
    for (json& child : node) for_encodings(child, field, change);
  }
}

void fit_scale(json& spec, const std::string& field,
               const std::vector<std::string>& present) {
  for_encodings(spec, field, [&](json& encoding) {
    if (!encoding.contains("scale") || !encoding["scale"].contains("domain")) return;
    json& scale = encoding["scale"];
    std::map<std::string, std::string> known;
    json domain = json::array(), range = json::array();
    std::set<std::string> taken;
    for (size_t i = 0; i < scale["domain"].size(); ++i) {
      const std::string name = scale["domain"][i].get<std::string>();
      known[name] = scale["range"][i].get<std::string>();
      if (std::find(present.begin(), present.end(), name) == present.end()) continue;
      domain.push_back(name);
      range.push_back(known[name]);
      taken.insert(known[name]);
    }
    for (const std::string& name : present) {
      if (known.count(name) > 0) continue;
      const auto mode = known.find(family_of(name));
      const Colours own = mode == known.end() ? Colours{} : Colours{mode->second};
      domain.push_back(name);
      range.push_back(colour_of(name, own, !known.empty(), taken));
    }
    scale["domain"] = domain;
    scale["range"] = range;
  });
}

std::string themed_colour(const std::string& text) {
  const bool colour =
      text.size() == 7 && text[0] == '#' &&
      text.find_first_not_of("0123456789abcdef", 1) == std::string::npos;
  return colour ? "var(--c-" + text.substr(1) + "," + text + ")" : text;
}

}  // namespace lockstep::charts
