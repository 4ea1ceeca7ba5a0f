// TOML's text as nodes; the one place that knows toml++. What `_base_` and
// `_delete_` do is not its business.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/node.h"

namespace lockstep::config {

// Throws Error: what is no TOML, dates, empty keys, a `_base_` that is not at the top,
// more than kDeepest in each other.
Node parse(const std::string& text, const std::shared_ptr<const File>& file);

// A value as typed behind "KEY=": TOML's, or else (a word, nothing, a date) text.
// Throws Error of `path`: a broken array, table or quoted text; what cannot be text.
Node parse_value(const std::string& text, const std::shared_ptr<const File>& file,
                 const std::string& path);

// "a.\"b.c\".d": a, b.c and d. None for what is no key.
std::vector<std::string> parse_keys(const std::string& text);

}  // namespace lockstep::config
