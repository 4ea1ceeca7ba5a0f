// Things looked up by name: models, datasets, samplers, reducers, process groups. An
// unknown name is answered with the known ones and the nearest.
//
// A name may have a scope, "mine.tiny", after MMEngine's registries: one without is
// looked for in the scope that is asked for, then among those without. The parts here
// have none, and "lockstep.mlp" is "mlp".
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

// Of "lockstep.mlp" "mlp"; all else as it is.
std::string without_scope(const std::string& name);

// "lockstep", and of "mine.tiny" "mine".
std::vector<std::string> scopes_of(const std::vector<std::string>& names);

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
    return factories_.at(full_name(name));
  }

  // The name under which it is registered. Throws std::invalid_argument.
  std::string full_name(const std::string& name, const std::string& scope = "") const {
    for (const std::string& known : {scope + "." + name, name, without_scope(name)}) {
      if (factories_.contains(known)) return known;
    }
    throw_unknown_name(kind_, name, names());
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
