#include "rows/json_fields.h"

#include <limits>
#include <stdexcept>

namespace lockstep::rows {

using nlohmann::json;

void JsonFields::refuse(const std::string& what) const {
  throw std::runtime_error(where_ + ": " + what +
                           "; delete that line or make the rows again with `bench`");
}

void JsonFields::refuse_kind(const std::string& key, const std::string& wanted,
                             const json& value) const {
  std::string shown = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (shown.size() > 40) shown = shown.substr(0, 37) + "...";
  refuse("\"" + key + "\" should be " + wanted + ", not " + shown);
}

const json& JsonFields::at(const std::string& key) const {
  if (!has(key)) refuse("the row has no \"" + key + "\"");
  return object_.at(key);
}

std::string JsonFields::text(const std::string& key) const {
  const json& value = at(key);
  if (!value.is_string()) refuse_kind(key, "a text", value);
  return value.get<std::string>();
}

std::vector<std::string> JsonFields::texts(const std::string& key) const {
  std::vector<std::string> result;
  for (const json& entry : list(key)) {
    if (!entry.is_string()) refuse_kind(key, "a list of texts", entry);
    result.push_back(entry.get<std::string>());
  }
  return result;
}

const json& JsonFields::object(const std::string& key) const {
  if (!at(key).is_object()) refuse_kind(key, "an object", at(key));
  return at(key);
}

const json& JsonFields::list(const std::string& key) const {
  if (!at(key).is_array()) refuse_kind(key, "a list", at(key));
  return at(key);
}

double JsonFields::number(const std::string& key) const {
  if (!at(key).is_number()) refuse_kind(key, "a number", at(key));
  return at(key).get<double>();
}

int64_t JsonFields::whole(const std::string& key, int64_t low, int64_t high) const {
  return whole(at(key), key, low, high);
}

int64_t JsonFields::whole(const json& value, const std::string& key, int64_t low,
                          int64_t high) const {
  if (!value.is_number_integer()) refuse_kind(key, "a whole number", value);
  const bool huge =
      value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(high);
  if (huge || value.get<int64_t>() < low || value.get<int64_t>() > high) {
    refuse("\"" + key + "\" is " + value.dump() + ", outside " + std::to_string(low) +
           " to " + std::to_string(high));
  }
  return value.get<int64_t>();
}

std::vector<double> JsonFields::numbers(const json& value,
                                        const std::string& key) const {
  if (!value.is_array()) refuse_kind(key, "a list of numbers", value);
  std::vector<double> result;
  result.reserve(value.size());
  for (const json& entry : value) {
    if (!entry.is_number() && !entry.is_null()) refuse_kind(key, "numbers", entry);
    result.push_back(entry.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                     : entry.get<double>());
  }
  return result;
}

}  // namespace lockstep::rows
