#include "config/section.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "config/node.h"
#include "registry/registry.h"

namespace lockstep::config {

// A key's value, or where it would be.
struct Section::Spot {
  const Node* node = nullptr;  // null: it is not there
  Place place;
  std::string path;

  [[noreturn]] void fail(const std::string& what) const { fail_at(place, path, what); }
  [[noreturn]] void refuse(const std::string& wanted) const {
    fail("is " + shown(*node) + ", must be " + wanted);
  }
  // Null where it is of another type.
  template <class Value>
  const Value* as() const {
    return node == nullptr ? nullptr : std::get_if<Value>(&node->value);
  }

  // The ends of the type are no bounds; of double, neither are its infinities.
  template <class Number>
  Number in_range(Number number, Number least, Number most) const {
    if (number >= least && number <= most) return number;
    using Limits = std::numeric_limits<Number>;
    std::string range = shown(least) + " to " + shown(most);
    if (least == most) range = shown(least);
    if (most >= Limits::max()) range = shown(least) + " or more";
    if (least <= Limits::lowest()) range = shown(most) + " or less";
    fail(shown(number) + " must be " + range);
  }
  int64_t integer(int64_t least, int64_t most) const {
    const auto* const integer = as<int64_t>();
    if (integer == nullptr) refuse("an integer");
    return in_range(*integer, least, most);
  }
  double number(double least, double most) const {
    const auto* const integer = as<int64_t>();
    if (integer != nullptr) return in_range(static_cast<double>(*integer), least, most);
    const auto* const number = as<double>();
    if (number == nullptr) refuse("a number");
    if (!std::isfinite(*number)) refuse("a finite number");
    return in_range(*number, least, most);
  }
  std::string text() const {
    const auto* const text = as<std::string>();
    if (text == nullptr) refuse("text");
    return *text;
  }
  void check_table() const {
    if (node != nullptr && node->table() == nullptr) refuse("a table");
  }
};

struct Section::State {
  std::shared_ptr<const Node> root;  // keeps `table` alive
  const Node* table = nullptr;       // null: it is not there
  Place place;
  std::string path;
  std::set<std::string> asked;
  // Tables that were asked for: one, or those of an array.
  std::map<std::string, std::vector<std::shared_ptr<State>>> beneath;

  // `key`'s table number `i`.
  std::shared_ptr<State> child(const std::string& key, size_t i, const Spot& spot) {
    auto& known = beneath[key];
    if (known.size() <= i) known.resize(i + 1);
    if (known[i] == nullptr) {
      known[i] = std::make_shared<State>(
          State{root, spot.node, spot.place, spot.path, {}, {}});
    }
    return known[i];
  }

  // The first by its place, here and beneath, that nobody asked for, and the table that
  // has it; `key` null: there is none.
  struct Unknown {
    const State* state = nullptr;
    const std::string* key = nullptr;
    Place place;
  };
  void find_unknown(Unknown& first) const {
    if (table == nullptr) return;
    for (const auto& [key, value] : *table->table()) {
      if (!asked.contains(key) && (first.key == nullptr || value.place < first.place))
        first = {this, &key, value.place};
    }
    for (const auto& [key, states] : beneath) {
      for (const auto& state : states) state->find_unknown(first);
    }
  }
};

Section::Section() : state_(std::make_shared<State>()) {}

Section::Section(Node root) : Section() {
  state_->root = std::make_shared<const Node>(std::move(root));
  state_->table = state_->root.get();
  state_->place = state_->table->place;
  Spot{state_->table, state_->place, ""}.check_table();
}

Section::Spot Section::spot(const std::string& key) const {
  const std::string path = join(state_->path, key);
  if (state_->table != nullptr) {
    const auto found = state_->table->table()->find(key);
    if (found != state_->table->table()->end())
      return {&found->second, found->second.place, path};
  }
  return {nullptr, state_->place, path};
}

Section::Spot Section::ask(const std::string& key) const {
  if (state_->table != nullptr) state_->asked.insert(key);
  return spot(key);
}

Section::Spot Section::ask_required(const std::string& key,
                                    const std::string& wanted) const {
  Spot spot = ask(key);
  if (spot.node == nullptr) spot.fail("is missing, must be " + wanted);
  return spot;
}

// The elements of an array, or the value itself.
std::vector<Section::Spot> Section::ask_all(const std::string& key) const {
  const Spot spot = ask(key);
  if (spot.node == nullptr) return {};
  const auto* const array = spot.as<Node::Array>();
  if (array == nullptr) return {spot};
  std::vector<Spot> all;
  for (const Node& node : *array)
    all.push_back({&node, node.place, join(spot.path, std::to_string(all.size()))});
  return all;
}

bool Section::has(const std::string& key) const { return ask(key).node != nullptr; }

bool Section::boolean(const std::string& key, bool usual) const {
  const Spot spot = ask(key);
  if (spot.node == nullptr) return usual;
  const bool* const yes = spot.as<bool>();
  if (yes == nullptr) spot.refuse("true or false");
  return *yes;
}

int64_t Section::integer(const std::string& key, int64_t usual, int64_t least,
                         int64_t most) const {
  const Spot spot = ask(key);
  return spot.node == nullptr ? usual : spot.integer(least, most);
}

double Section::number(const std::string& key, double usual, double least,
                       double most) const {
  const Spot spot = ask(key);
  return spot.node == nullptr ? usual : spot.number(least, most);
}

std::string Section::text(const std::string& key, const std::string& usual) const {
  const Spot spot = ask(key);
  return spot.node == nullptr ? usual : spot.text();
}

std::string Section::word(const std::string& key, const std::string& usual,
                          const std::vector<std::string>& known) const {
  const Spot spot = ask(key);
  if (spot.node == nullptr) return usual;
  std::string word = spot.text();
  if (std::find(known.begin(), known.end(), word) == known.end())
    spot.fail("unknown " + quoted(word) + "; " + nearest_of_known(word, known));
  return word;
}

int64_t Section::required_integer(const std::string& key, int64_t least,
                                  int64_t most) const {
  return ask_required(key, "an integer").integer(least, most);
}

double Section::required_number(const std::string& key, double least,
                                double most) const {
  return ask_required(key, "a number").number(least, most);
}

std::string Section::required_text(const std::string& key) const {
  return ask_required(key, "text").text();
}

std::vector<int64_t> Section::integers(const std::string& key, int64_t least,
                                       int64_t most) const {
  std::vector<int64_t> all;
  for (const Spot& spot : ask_all(key)) all.push_back(spot.integer(least, most));
  return all;
}

std::vector<double> Section::numbers(const std::string& key, double least,
                                     double most) const {
  std::vector<double> all;
  for (const Spot& spot : ask_all(key)) all.push_back(spot.number(least, most));
  return all;
}

std::vector<std::string> Section::texts(const std::string& key) const {
  std::vector<std::string> all;
  for (const Spot& spot : ask_all(key)) all.push_back(spot.text());
  return all;
}

Section Section::section(const std::string& key) const {
  const Spot spot = ask(key);
  spot.check_table();
  return Section(state_->child(key, 0, spot));
}

std::vector<Section> Section::sections(const std::string& key) const {
  std::vector<Section> all;
  for (const Spot& spot : ask_all(key)) {
    spot.check_table();
    all.push_back(Section(state_->child(key, all.size(), spot)));
  }
  return all;
}

bool Section::is_table(const std::string& key) const {
  return ask(key).as<Node::Table>() != nullptr;
}

bool Section::is_text(const std::string& key) const {
  return ask(key).as<std::string>() != nullptr;
}

bool Section::is_false(const std::string& key) const {
  const Spot spot = ask(key);
  const bool* const yes = spot.as<bool>();
  return yes != nullptr && !*yes;
}

std::vector<std::string> Section::keys() const {
  std::vector<std::string> keys;
  if (state_->table == nullptr) return keys;
  for (const auto& [key, value] : *state_->table->table()) keys.push_back(key);
  return keys;
}

void Section::fail(const std::string& key, const std::string& what) const {
  if (key.empty()) fail_at(state_->place, state_->path, what);
  spot(key).fail(what);
}

void Section::finish() const {
  State::Unknown first;
  state_->find_unknown(first);
  if (first.key == nullptr) return;
  const std::vector<std::string> known(first.state->asked.begin(),
                                       first.state->asked.end());
  fail_at(first.place, join(first.state->path, *first.key),
          "unknown key; " + nearest_of_known(*first.key, known));
}

}  // namespace lockstep::config
