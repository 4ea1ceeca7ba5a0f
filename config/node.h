// A value of a configuration: what a TOML file can hold, without dates. It knows where
// it was written, however it is copied and merged. For reading there is Section.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "config/error.h"

namespace lockstep::config {

struct Node {
  using Array = std::vector<Node>;
  using Table = std::map<std::string, Node>;

  std::variant<Table, Array, bool, int64_t, double, std::string> value;
  Place place;

  Table* table() { return std::get_if<Table>(&value); }
  const Table* table() const { return std::get_if<Table>(&value); }
  Array* array() { return std::get_if<Array>(&value); }
  const Array* array() const { return std::get_if<Array>(&value); }
};

// Tables and arrays in each other; whatever walks over nodes may recurse.
constexpr size_t kDeepest = 64;

std::string shown(int64_t number);
std::string shown(double number);  // the shortest that reads as the same number
// For messages: "text 'adam'", "a table", "0.5".
std::string shown(const Node& node);

// Names that are the same but for a letter or two: for messages, too.
bool alike(const std::string& a, const std::string& b);

// Puts `above` over `below`: tables are merged, all else is replaced. A table with
// `_delete_ = true` is put in the place of the one below.
void put_over(Node& below, Node&& above);

}  // namespace lockstep::config
