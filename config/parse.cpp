#include "config/parse.h"

#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace lockstep::config {
namespace {

std::string too_deep() {
  return "too deep: more than " + std::to_string(kDeepest) +
         " tables and arrays stand in each other";
}

// Past a string that begins at `i`.
size_t past_string(std::string_view text, size_t i) {
  const char quote = text[i];
  const std::string three(3, quote);
  const bool many_lines = text.substr(i, 3) == three;
  for (i += many_lines ? 3 : 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (!many_lines && (text[i] == quote || text[i] == '\n')) {
      return text[i] == quote ? i + 1 : i;
    } else if (many_lines && text.substr(i, 3) == three) {
      i += 3;  // two more may be the text's own
      for (int own = 0; own < 2 && i < text.size() && text[i] == quote; ++own) ++i;
      return i;
    }
  }
  return text.size();
}

// Why toml++ did not read a text, and where in it.
struct Refusal {
  toml::source_position position;
  std::string what;
};

// Note [Deep files are refused before toml++ reads them]
// toml++ recurses over tables, and over those of a dotted key without limit: a file of
// "a.a.a. ..." ends the program by its destructors. So brackets and dots are counted
// first. What is misread, for brackets that are not closed, is no TOML anyway.

// Where the first one too many stands.
std::optional<size_t> first_too_deep(std::string_view text) {
  const auto is = [&](size_t i, std::string_view letters) {
    return i < text.size() && letters.find(text[i]) != std::string_view::npos;
  };
  size_t brackets = 0, dots = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is(i, "\"'")) {
      i = past_string(text, i) - 1;
      continue;
    }
    if (text[i] == '#') {
      i = std::min(text.find('\n', i), text.size()) - 1;
      continue;
    }
    if (is(i, "[{")) ++brackets;
    if (is(i, "]}") && brackets > 0) --brackets;
    if (is(i, ".")) ++dots;
    if (is(i, "#=,[]{}\n")) dots = 0;
    if (brackets > kDeepest || dots >= kDeepest) return i;
  }
  return std::nullopt;
}

// `parent` is the table's: its place is that of tables which a dotted key or a header
// implies. Where it has no line, as on the command line, nothing in it has.
Place place_of(const toml::source_position& position, const Place& parent) {
  if (position.line == 0 || parent.line == 0) return parent;
  return {parent.file, position.line, position.column};
}

// Throws Refusal.
toml::table toml_of(const std::string& text) {
  if (const auto found = first_too_deep(text)) {
    const auto end = text.begin() + static_cast<int64_t>(*found);
    const auto line = static_cast<uint32_t>(1 + std::count(text.begin(), end, '\n'));
    throw Refusal{{line, 1}, too_deep()};
  }
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    constexpr std::string_view kOpening = "Error while parsing ";
    std::string_view what = error.description();
    if (what.starts_with(kOpening)) what.remove_prefix(kOpening.size());
    const bool is_word = what.ends_with("could not determine value type");
    throw Refusal{error.source().begin, "no TOML: " + std::string(what) +
                                            (is_word ? "; text stands in quotes" : "")};
  }
}

Node node_of(const toml::node& node, const Place& parent, const std::string& path,
             size_t depth) {
  const Place place = place_of(node.source().begin, parent);
  if (depth > kDeepest) fail_at(place, "", too_deep());
  Node made;
  made.place = place;
  if (const auto* const table = node.as_table()) {
    for (const auto& [key, value] : *table) {
      const std::string name(key.str());
      const Place its = place_of(key.source().begin, place);
      if (name.empty()) fail_at(its, path, "a key is empty");
      // Behind a header, all keys are that table's.
      if (name == "_base_" && depth > 0) {
        fail_at(its, join(path, name),
                "must stand at the top of a file, before its first table");
      }
      made.table()->emplace(name, node_of(value, its, join(path, name), depth + 1));
    }
  } else if (const auto* const array = node.as_array()) {
    auto& elements = made.value.emplace<Node::Array>();
    elements.reserve(array->size());
    for (const toml::node& element : *array) {
      const std::string index = std::to_string(elements.size());
      elements.push_back(node_of(element, place, join(path, index), depth + 1));
    }
  } else if (const auto* const yes = node.as_boolean()) {
    made.value = yes->get();
  } else if (const auto* const integer = node.as_integer()) {
    made.value = integer->get();
  } else if (const auto* const number = node.as_floating_point()) {
    made.value = number->get();
  } else if (const auto* const text = node.as_string()) {
    made.value = text->get();
  } else {
    fail_at(place, path, "is a date or a time; write it as text, in quotes");
  }
  return made;
}

}  // namespace

Node parse(const std::string& text, const std::shared_ptr<const File>& file) {
  const Place top{file, 1};
  try {
    return node_of(toml_of(text), top, "", 0);
  } catch (const Refusal& refusal) {
    fail_at(place_of(refusal.position, top), "", refusal.what);
  }
}

Node parse_value(const std::string& text, const std::shared_ptr<const File>& file,
                 const std::string& path) {
  const Place place{file};
  std::string why = "no TOML: more than one value";
  try {
    // In an array, before something else: so it is one value, and no comment.
    const toml::table read = toml_of("v=[" + text + ",\n0]");
    const toml::array* const values = read["v"].as_array();
    if (read.size() == 1 && values != nullptr && values->size() == 2) {
      const toml::node& value = (*values)[0];
      if (!value.is_date() && !value.is_time() && !value.is_date_time())
        return node_of(value, place, path, 1);
    }
  } catch (const Refusal& refusal) {
    why = refusal.what;
  }
  const bool is_meant = text.find_first_of("[{\"'") == 0;
  if (is_meant) fail_at(place, path, quoted(text) + " is " + why);
  try {
    // So that toml++ holds it to UTF-8, as it does a file's.
    const toml::table read = toml_of("v='''\n" + text + "'''");
    const std::optional<std::string> word = read["v"].value<std::string>();
    if (read.size() == 1 && word.has_value()) return {*word, place};
  } catch (const Refusal& refusal) {
    why = refusal.what;
  }
  fail_at(place, path, quoted(text) + " is " + why);
}

std::vector<std::string> parse_keys(const std::string& text) {
  std::vector<std::string> keys;
  try {
    const toml::table read = toml_of(text + "=0");
    for (const toml::table* table = &read; table != nullptr;) {
      if (table->size() != 1 || table->begin()->first.empty()) return {};
      keys.emplace_back(table->begin()->first.str());
      table = table->begin()->second.as_table();
    }
  } catch (const Refusal&) {
    return {};
  }
  return keys;
}

}  // namespace lockstep::config
