#include "config/node.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <utility>

namespace lockstep::config {
namespace {

constexpr char kDelete[] = "_delete_";

template <class Number>
std::string in_letters(Number number) {
  std::array<char, 32> letters;
  const auto end =
      std::to_chars(letters.data(), letters.data() + letters.size(), number).ptr;
  return {letters.data(), end};
}

// Takes `_delete_` out of a table.
bool take_delete(Node::Table& table) {
  const auto found = table.find(kDelete);
  if (found == table.end()) return false;
  const Node node = std::move(found->second);
  table.erase(found);
  if (const bool* const drop = std::get_if<bool>(&node.value)) return *drop;
  fail_at(node.place, kDelete, "is " + shown(node) + ", must be true or false");
}

}  // namespace

std::string shown(int64_t number) { return in_letters(number); }
std::string shown(double number) { return in_letters(number); }

std::string shown(const Node& node) {
  if (node.table() != nullptr) return "a table";
  if (node.array() != nullptr) return "an array";
  if (const bool* const yes = std::get_if<bool>(&node.value))
    return *yes ? "true" : "false";
  if (const auto* const integer = std::get_if<int64_t>(&node.value))
    return shown(*integer);
  if (const auto* const number = std::get_if<double>(&node.value)) {
    const std::string letters = shown(*number);
    // Unlike an integer, which 1.0 is not.
    return letters.find_first_of(".ein") == std::string::npos ? letters + ".0"
                                                              : letters;
  }
  return "text " + quoted(std::get<std::string>(node.value));
}

bool alike(const std::string& a, const std::string& b) {
  const auto front = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  const auto back = std::mismatch(a.rbegin(), std::reverse_iterator(front.first),
                                  b.rbegin(), std::reverse_iterator(front.second));
  const auto same = (front.first - a.begin()) + (back.first - a.rbegin());
  const auto longer = std::ssize(a.size() > b.size() ? a : b);
  return same >= longer - 2 && 2 * same >= longer;
}

void put_over(Node& below, Node&& above) {
  below.place = above.place;
  if (Node::Table* const mine = above.table()) {
    const bool drop = take_delete(*mine);
    if (drop || below.table() == nullptr) below.value = Node::Table();
    for (auto& [key, value] : *mine) put_over((*below.table())[key], std::move(value));
  } else if (Node::Array* const elements = above.array()) {
    // Their tables stand on nothing, but may say `_delete_` all the same.
    Node::Array fresh(elements->size());
    for (size_t i = 0; i < fresh.size(); ++i)
      put_over(fresh[i], std::move((*elements)[i]));
    below.value = std::move(fresh);
  } else {
    below.value = std::move(above.value);
  }
}

}  // namespace lockstep::config
