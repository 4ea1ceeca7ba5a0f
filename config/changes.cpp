#include "config/changes.h"

#include <charconv>
#include <limits>

#include "config/parse.h"

namespace lockstep::config {
namespace {

// Of the array at `path`, the one that `key` points to.
Node& element(Node::Array& array, const Place& place, const std::string& path,
              const std::string& key) {
  size_t index = std::numeric_limits<size_t>::max();
  const char* const end = key.data() + key.size();
  const auto read = std::from_chars(key.data(), end, index);
  if (read.ec == std::errc() && read.ptr == end && index < array.size())
    return array[index];
  const auto last = static_cast<int64_t>(array.size()) - 1;
  fail_at(
      place, join(path, key),
      path + (array.empty() ? " is an empty array"
                            : " is an array, its elements are 0 to " + shown(last)));
}

void apply(Node& root, const std::string& text, const Place& place) {
  const size_t equals = text.find('=');
  std::vector<std::string> keys;
  if (equals != std::string::npos) keys = parse_keys(text.substr(0, equals));
  if (keys.empty()) {
    fail_at(place, "",
            quoted(text) +
                " is no change; write KEY=VALUE, as in "
                "optim_wrapper.optimizer.lr=0.1");
  }
  Node* node = &root;
  std::string path;
  for (const std::string& key : keys) {
    if (key == "_base_" || key == "_delete_")
      fail_at(place, join(path, key), "must stand in a file");
    if (Node::Table* const table = node->table()) {
      node = &(*table)[key];
      if (node->place.file == nullptr) node->place = place;
    } else if (Node::Array* const array = node->array()) {
      node = &element(*array, place, path, key);
    } else {
      fail_at(
          place, join(path, key),
          path + " is " + shown(*node) + " (" + node->place.text() + "), not a table");
    }
    path = join(path, key);
  }
  put_over(*node, parse_value(text.substr(equals + 1), place.file, path));
}

}  // namespace

void apply_changes(Node& root, const std::vector<std::string>& changes) {
  const Place place{std::make_shared<const File>(
      File{"command line", std::numeric_limits<int>::max()})};
  for (const std::string& change : changes) apply(root, change, place);
}

}  // namespace lockstep::config
