// Things looked up by name: models, datasets, samplers, reducers, process groups. An
// unknown name is answered with the known ones and the nearest.
//
// Register before the first run; a registry is not locked.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace lockstep {

// "did you mean 'mlp'? Known: linear, mlp".
std::string nearest_of_known(const std::string& name,
                             const std::vector<std::string>& known);

// Throws std::invalid_argument: "unknown model 'mpl'; did you mean 'mlp'? Known: ...".
[[noreturn]] void throw_unknown_name(const std::string& kind, const std::string& name,
                                     const std::vector<std::string>& known);

template <class Factory>
class Registry {
 public:
  // `kind` is what error messages call the things: "model".
  Registry(std::string kind, std::map<std::string, std::function<Factory>> known)
      : kind_(std::move(kind)), factories_(std::move(known)) {}

  // A second one of the same name replaces the first: a lab's own version of a part.
  void add(const std::string& name, std::function<Factory> factory) {
    factories_[name] = std::move(factory);
  }

  const std::function<Factory>& at(const std::string& name) const {
    const auto found = factories_.find(name);
    if (found == factories_.end()) throw_unknown_name(kind_, name, names());
    return found->second;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, factory] : factories_) names.push_back(name);
    return names;
  }

 private:
  std::string kind_;
  std::map<std::string, std::function<Factory>> factories_;
};

}  // namespace lockstep
