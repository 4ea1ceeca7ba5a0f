#include "collectives/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>

#include "program/command_line.h"

namespace lockstep::collectives {
namespace {

constexpr int64_t kMostBytes = int64_t{64} << 30;

void require(bool holds, const std::string& option, int64_t value,
             const std::string& way_out) {
  if (!holds) {
    throw std::invalid_argument(option + " " + std::to_string(value) + ": " + way_out);
  }
}

void validate(const Options& options) {
  require(options.max_bytes >= options.min_bytes, "-e", options.max_bytes,
          "must be no less than -b " + std::to_string(options.min_bytes));
  require(options.factor >= 2, "-f", options.factor, "must be 2 or more");
  require(options.rounds.iterations >= 1, "-n", options.rounds.iterations,
          "must be 1 or more");
  require(options.rounds.warmup >= 0, "-w", options.rounds.warmup, "must be 0 or more");
  require(options.rounds.checks >= 0, "-c", options.rounds.checks, "must be 0 or more");
  require(options.gpus >= 1 && options.gpus <= 64, "--gpus", options.gpus,
          "must be a number of ranks from 1 to 64");
  for (const std::string& algorithm : options.algorithms) {
    for (const std::string& name : options.collectives)
      make_collective(name, algorithm, options.gpus);
  }
}

// nccl-tests has more of them than what is measured here.
void refuse_others(const std::string& option, const std::string& value,
                   const std::string& known) {
  if (value == known) return;
  throw std::invalid_argument(option + " " + value + ": only " + known +
                              " is measured; leave " + option + " out");
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

}  // namespace

int64_t bytes_of(const std::string& option, const std::string& text) {
  size_t end = 0;
  int64_t value = -1;
  try {
    value = std::stoll(text, &end);
  } catch (const std::logic_error&) {
    end = 0;
  }
  const std::string unit = text.substr(end);
  const int shift = unit.empty()                 ? 0
                    : unit == "K" || unit == "k" ? 10
                    : unit == "M" || unit == "m" ? 20
                    : unit == "G" || unit == "g" ? 30
                                                 : -1;
  if (end == 0 || shift < 0 || value < 1 || value > (kMostBytes >> shift)) {
    throw std::invalid_argument(option + " " + text +
                                ": must be a number of bytes, 8, 4K, 64M or 1G, up to "
                                "64G");
  }
  return value << shift;
}

Options parse(const std::vector<std::string>& arguments) {
  Options options;
  std::string min_bytes = "8", max_bytes = "64M", step_bytes;
  std::string type = "float", redop = "sum";
  int root = 0;
  CLI::App app(
      "Times collectives between ranks on this machine and checks their results, as "
      "nccl-tests does.",
      "bench collectives");
  app.add_option("-b,--minbytes", min_bytes, "smallest size")->capture_default_str();
  app.add_option("-e,--maxbytes", max_bytes, "largest size")->capture_default_str();
  auto* factor =
      app.add_option("-f,--stepfactor", options.factor, "from one size to the next")
          ->capture_default_str();
  app.add_option("-i,--stepbytes", step_bytes, "instead of a factor: so much more")
      ->excludes(factor);
  app.add_option("-n,--iters", options.rounds.iterations, "timed calls of each size")
      ->capture_default_str();
  app.add_option("-w,--warmup-iters", options.rounds.warmup, "calls before them")
      ->capture_default_str();
  app.add_option("-c,--check", options.rounds.checks,
                 "calls after them whose results are checked")
      ->capture_default_str();
  app.add_option("-d,--datatype", type, "float")->capture_default_str();
  app.add_option("-o,--op", redop, "sum")->capture_default_str();
  app.add_option("-r,--root", root, "of broadcast and reduce: 0")
      ->capture_default_str();
  app.add_option("--backend", options.backends, "gloo, shm, auto; a list")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option(
         "--collective", options.collectives,
         "all_reduce, broadcast, reduce, reduce_scatter, all_gather, all; a list")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--algorithm", options.algorithms,
                 "of all_reduce: the backend's own, or ring, tree, halving-doubling; "
                 "a list")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--gpus,-g", options.gpus, "ranks")->capture_default_str();
  app.add_flag("!--no-memcpy", options.memcpy,
               "time no memcpys, and set no busbw beside them");
  app.add_option("--out", options.out, "file for the figures, JSON lines");
  std::vector<std::string> reversed = program::normalised(arguments);
  std::reverse(reversed.begin(), reversed.end());  // as CLI11 wants a vector
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    options.help = app.help();
    return options;
  }
  options.min_bytes = bytes_of("-b", min_bytes);
  options.max_bytes = bytes_of("-e", max_bytes);
  if (!step_bytes.empty()) options.step_bytes = bytes_of("-i", step_bytes);
  refuse_others("-d", type, "float");
  refuse_others("-o", redop, "sum");
  refuse_others("-r", std::to_string(root), "0");
  if (options.collectives == std::vector<std::string>{"all"}) {
    options.collectives = collective_names();
  }
  validate(options);
  return options;
}

std::vector<std::string> arguments_of(const Options& options) {
  std::vector<std::string> arguments = {
      "-b",           std::to_string(options.min_bytes),
      "-e",           std::to_string(options.max_bytes),
      "-f",           std::to_string(options.factor),
      "-n",           std::to_string(options.rounds.iterations),
      "-w",           std::to_string(options.rounds.warmup),
      "-c",           std::to_string(options.rounds.checks),
      "-g",           std::to_string(options.gpus),
      "--backend",    joined(options.backends),
      "--collective", joined(options.collectives),
      "--algorithm",  joined(options.algorithms)};
  if (!options.memcpy) arguments.emplace_back("--no-memcpy");
  if (options.step_bytes > 0) {  // and no factor beside it
    arguments[4] = "-i";
    arguments[5] = std::to_string(options.step_bytes);
  }
  if (!options.out.empty()) {
    arguments.insert(arguments.end(), {"--out", options.out});
  }
  return arguments;
}

std::vector<int64_t> sizes_of(const Options& options) {
  std::vector<int64_t> sizes;
  for (int64_t size = options.min_bytes; size <= options.max_bytes;
       size = options.step_bytes > 0 ? size + options.step_bytes
                                     : size * options.factor) {
    sizes.push_back(size);
  }
  return sizes;
}

}  // namespace lockstep::collectives
