#include "config/config.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "config/changes.h"
#include "config/node.h"
#include "config/parse.h"

namespace lockstep::config {
namespace {

namespace fs = std::filesystem;

constexpr char kBase[] = "_base_";
constexpr size_t kMostBytes = 16 << 20;
// Files that name each other twice would be read 2^n times.
constexpr int kMostFiles = 1000;

// What was asked for, and by whom: a `_base_`, or nobody but the caller.
struct Request {
  fs::path path;
  Place asker;

  [[noreturn]] void fail(const std::string& what) const {
    const std::string message = path.string() + " " + what;
    if (asker.file != nullptr) fail_at(asker, kBase, message);
    throw Error((path.empty() ? "''" : path.string()) + ": " + what);
  }
};

std::string read(const Request& request) {
  const std::string name = request.path.string();
  if (name.find('\0') != std::string::npos) request.fail("is no path");
  std::error_code error;
  const fs::file_status status = fs::status(request.path, error);
  if (status.type() == fs::file_type::not_found) request.fail("is not there");
  if (fs::is_directory(status)) request.fail("is a folder, must be a file");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(name.c_str(), "rb"), std::fclose);
  const auto why = [] { return std::generic_category().message(errno); };
  if (file == nullptr) request.fail("cannot be read: " + why());
  std::string text;
  for (size_t got = 1; got > 0 && text.size() <= kMostBytes;) {
    const size_t had = text.size();
    text.resize(had + (size_t{1} << 16));
    got = std::fread(text.data() + had, 1, text.size() - had, file.get());
    text.resize(had + got);
  }
  if (std::ferror(file.get()) != 0) request.fail("cannot be read: " + why());
  if (text.size() > kMostBytes) request.fail("is larger than 16 MiB");
  return text;
}

// Takes `_base_` out of a file's table: the paths it names.
std::vector<Request> take_bases(Node& file, const fs::path& folder) {
  const auto found = file.table()->find(kBase);
  if (found == file.table()->end()) return {};
  Node node = std::move(found->second);
  file.table()->erase(found);
  if (node.array() == nullptr) node = {Node::Array{node}, node.place};
  std::vector<Request> bases;
  for (const Node& base : *node.array()) {
    const auto* const path = std::get_if<std::string>(&base.value);
    if (path == nullptr || path->empty()) {
      fail_at(base.place, kBase,
              "is " + shown(base) + ", must be the path of a file, or several");
    }
    bases.push_back({(folder / *path).lexically_normal(), base.place});
  }
  return bases;
}

class Files {
 public:
  Node with_bases(const Request& request) {
    const std::string name = request.path.string();
    const std::string text = read(request);
    std::error_code error;
    const fs::path real = fs::canonical(request.path, error);
    if (std::find(open_.begin(), open_.end(), real) != open_.end()) {
      std::string chain;
      for (const std::string& each : names_) chain += each + " -> ";
      request.fail("stands on itself: " + chain + name);
    }
    if (count_ == kMostFiles) {
      request.fail("is too much: " + std::to_string(kMostFiles) +
                   " files were read, this would be one more");
    }
    Node file = parse(text, std::make_shared<const File>(File{name, count_++}));
    const std::vector<Request> bases = take_bases(file, request.path.parent_path());
    open_.push_back(real);
    names_.push_back(name);
    Node all;
    for (const Request& base : bases) put_over(all, with_bases(base));
    put_over(all, std::move(file));
    open_.pop_back();
    names_.pop_back();
    return all;
  }

 private:
  std::vector<fs::path> open_;  // by their real paths: a link is no way around
  std::vector<std::string> names_;
  int count_ = 0;
};

}  // namespace

namespace {

Node merged(const std::string& path, const std::vector<std::string>& changes) {
  Node root = Files().with_bases({path, {}});
  apply_changes(root, changes);
  return root;
}

void collect(const Node& node, const std::string& path, Values& values) {
  if (node.table() != nullptr) {
    for (const auto& [key, one] : *node.table()) collect(one, join(path, key), values);
  } else if (node.array() != nullptr) {
    size_t i = 0;
    for (const Node& one : *node.array()) {
      collect(one, join(path, std::to_string(i++)), values);
    }
  } else {
    values[path] = shown(node);
  }
}

}  // namespace

Section load(const std::string& path, const std::vector<std::string>& changes) {
  return Section(merged(path, changes));
}

Values values(const std::string& path, const std::vector<std::string>& changes) {
  Values all;
  collect(merged(path, changes), "", all);
  return all;
}

std::string text_change(const std::string& key, const std::string& text) {
  std::string quoted;
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') quoted += '\\';
    quoted += letter;
  }
  return key + "=\"" + quoted + "\"";
}

}  // namespace lockstep::config
