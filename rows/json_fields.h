// One object of JSON that someone else may have written, or half written, read field by
// field: every refusal is a std::runtime_error of one line that names where the object
// stands, the key and the way out.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockstep::rows {

class JsonFields {
 public:
  // `where`: "runs.jsonl:3". The object must outlive this.
  JsonFields(const nlohmann::json& object, std::string where)
      : object_(object), where_(std::move(where)) {}

  // null is as if it were not there.
  bool has(const std::string& key) const {
    const auto found = object_.find(key);
    return found != object_.end() && !found->is_null();
  }
  const std::string& where() const { return where_; }

  const nlohmann::json& at(const std::string& key) const;
  std::string text(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;
  const nlohmann::json& object(const std::string& key) const;
  const nlohmann::json& list(const std::string& key) const;
  double number(const std::string& key) const;
  // low and high are among what may be.
  int64_t whole(const std::string& key, int64_t low, int64_t high) const;

  // Of a value within the object; `key` is how a refusal calls it.
  int64_t whole(const nlohmann::json& value, const std::string& key, int64_t low,
                int64_t high) const;
  // null stands for NaN, which JSON cannot write.
  std::vector<double> numbers(const nlohmann::json& value,
                              const std::string& key) const;

  [[noreturn]] void refuse(const std::string& what) const;
  [[noreturn]] void refuse_kind(const std::string& key, const std::string& wanted,
                                const nlohmann::json& value) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace lockstep::rows
