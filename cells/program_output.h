// Runs a program of the build to its end, for what it prints or leaves.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockstep::cells {

using Words = std::vector<std::string>;

// `program`: its path within build/, "bin/ddp". What it printed. Throws
// std::runtime_error, in one line, where it cannot be started, does not end within a
// minute or fails.
std::string output_of(const std::string& program, const Words& arguments);

// The JSON that it leaves in the file behind `option`: "--report-file".
nlohmann::json left_by(const std::string& program, Words arguments,
                       const std::string& option);

// The same of a training run of emulated cards of one thread.
nlohmann::json report_of(const std::string& program, Words arguments);

// A file that is no program, by its path in the repository or in what students get:
// around build/, else where this was built from.
std::string file_of_tree(const std::string& path);

}  // namespace lockstep::cells
