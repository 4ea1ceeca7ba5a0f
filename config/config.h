// A TOML file with those it stands on (`_base_`) and the command line's changes worked
// in, after MMEngine's Config (mmengine/config/config.py). What the keys mean is the
// reader's: see Section.
//
//   _base_ = "schedule.toml"          # or several; later ones go over earlier ones
//   optim_wrapper.optimizer.lr = 0.1  # tables are merged, all else is replaced
//   model = { _delete_ = true, type = "mlp" }   # nothing of the bases' table stays
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config/section.h"

namespace lockstep::config {

// A base's path is relative to the file that names it; its own `_delete_` is for what
// is beneath it, not for bases beside it. `changes` are merged in turn, as files are:
// "optim_wrapper.optimizer.lr=0.1", "hooks.0.interval=2", the value as in TOML or a
// word without quotes. Throws Error: what cannot be read or parsed, a base that is not
// there or stands on itself, a change that is none or fits nothing.
Section load(const std::string& path, const std::vector<std::string>& changes);

// Every value of it by its path, "optim_wrapper.optimizer.lr" and "0.1": to be compared
// with others'. Throws as load() does.
using Values = std::map<std::string, std::string>;
Values values(const std::string& path, const std::vector<std::string>& changes);

// The change that sets `key` to a text, whatever letters that has.
std::string text_change(const std::string& key, const std::string& text);

}  // namespace lockstep::config
