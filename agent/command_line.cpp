#include "agent/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "agent/console.h"
#include "host/this_host.h"

namespace lockstep::agent {
namespace {

constexpr int kMost = 100000;  // machines, and ranks of one: products stay numbers

// The options as they were written.
struct Words {
  std::string nodes = "1";
  std::string ranks = "1";
  std::optional<int> node_rank;
  std::optional<std::string> master_addr;
  std::optional<int> master_port;
  std::string endpoint;
  std::string backend = "static";
  std::string redirects = "0";
  std::string tee = "0";
  bool standalone = false;
  bool ignored = false;
  std::optional<int> timeout_s;
};

[[noreturn]] void refuse(const std::string& message) {
  throw std::invalid_argument(message);
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [rest, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return value;
}

int nodes_of(const std::string& text) {
  const size_t colon = text.find(':');
  const auto least = number(text.substr(0, colon));
  const auto most = colon == std::string::npos ? least : number(text.substr(colon + 1));
  if (!least || !most || *least < 1 || *most > kMost) {
    refuse("--nnodes " + text + ": give a number of machines, 1 to " +
           std::to_string(kMost));
  }
  if (*least != *most) {
    refuse("--nnodes " + text +
           ": a job keeps the number of machines that it began with; give one number");
  }
  return *least;
}

int ranks_of(const std::string& text, const Machine& machine) {
  if (text == "cpu" || (text == "auto" && machine.gpus == 0)) return machine.cpus;
  if (text == "gpu" && machine.gpus == 0) {
    refuse("--nproc-per-node gpu: no GPU here; give a number, or cpu");
  }
  if (text == "gpu" || text == "auto") return machine.gpus;
  const auto ranks = number(text);
  if (!ranks || *ranks < 1 || *ranks > kMost) {
    refuse("--nproc-per-node " + text +
           ": give a number of ranks of at least 1, or cpu, gpu or auto");
  }
  return *ranks;
}

// "0" to "3" for all ranks, or "0:1,3:2": stdout is 1, stderr is 2.
std::vector<Streams> streams_of(const std::string& option, const std::string& text,
                                int ranks) {
  const auto give_up = [&] {
    refuse(option + " " + text +
           ": give 0 (none), 1 (stdout), 2 (stderr) or 3 (both), or such a number a "
           "local rank: 0:3,1:2");
  };
  const auto streams = [&](const std::string& word) {
    const auto bits = number(word);
    if (!bits || *bits < 0 || *bits > 3) give_up();
    return Streams{(*bits & 1) != 0, (*bits & 2) != 0};
  };
  if (text.find(':') == std::string::npos) {
    return std::vector<Streams>(static_cast<size_t>(ranks), streams(text));
  }
  std::vector<Streams> result(static_cast<size_t>(ranks));
  for (const std::string& part : CLI::detail::split(text, ',')) {
    const size_t colon = part.find(':');
    const auto rank = number(part.substr(0, colon));
    if (colon == std::string::npos || !rank || *rank < 0 || *rank >= ranks) give_up();
    result[static_cast<size_t>(*rank)] = streams(part.substr(colon + 1));
  }
  return result;
}

void bind(CLI::App& app, Words& words, Options& options) {
  app.add_option("--nnodes", words.nodes, "machines (1)")->envname("PET_NNODES");
  app.add_option("--nproc-per-node", words.ranks,
                 "ranks on this machine: a number, cpu, gpu or auto (1)")
      ->envname("PET_NPROC_PER_NODE");
  app.add_option("--node-rank", words.node_rank, "this machine's number, from 0")
      ->envname("PET_NODE_RANK");
  app.add_option("--master-addr", words.master_addr,
                 "address of machine 0, where all meet (127.0.0.1)")
      ->envname("PET_MASTER_ADDR");
  app.add_option("--master-port", words.master_port, "and its port (29500)")
      ->envname("PET_MASTER_PORT")
      ->check(CLI::Range(0, 65535));
  app.add_flag("--standalone", words.standalone,
               "a job of this machine alone, at any free port")
      ->envname("PET_STANDALONE");
  app.add_option("--max-restarts", options.max_restarts,
                 "how often all ranks are started again after a failure")
      ->envname("PET_MAX_RESTARTS")
      ->check(CLI::Range(0, kMost))
      ->capture_default_str();
  app.add_option("--log-dir", options.log_dir,
                 "keep what each rank writes, as attempt_A/rank_R/stdout.log and "
                 "stderr.log in there")
      ->envname("PET_LOG_DIR");
  app.add_option("-t,--tee", words.tee,
                 "what goes to this output and to a log: 0 nothing, 1 stdout, 2 "
                 "stderr, 3 both, or a list by local rank, 0:3,1:2 (3 with --log-dir)")
      ->envname("PET_TEE");
  app.add_option("-r,--redirects", words.redirects,
                 "what goes to a log alone, likewise")
      ->envname("PET_REDIRECTS");
  app.add_option("--timeout", words.timeout_s,
                 "seconds to wait for machines that have not come (300; 60 when all "
                 "start again)")
      ->check(CLI::Range(1, kMost));
  app.add_option("--rdzv-id", options.run_id, "the job's name, for the ranks")
      ->envname("PET_RDZV_ID");
  app.add_option("--rdzv-endpoint", words.endpoint,
                 "HOST:PORT, for --master-addr and --master-port")
      ->envname("PET_RDZV_ENDPOINT");
  app.add_option("--rdzv-backend", words.backend, "static or c10d, which are one here")
      ->envname("PET_RDZV_BACKEND")
      ->check(CLI::IsMember({"static", "c10d"}));
  app.add_flag("--no-python", words.ignored,
               "is always so: PROGRAM is started as it is")
      ->envname("PET_NO_PYTHON");
  app.add_flag("--use-env", words.ignored, "is always so: ranks read the environment");
}

// How many of the arguments are ours: up to the program, whose options are its own.
// "_" equals "-" in the names of ours.
size_t normalise(const CLI::App& app, std::vector<std::string>& arguments) {
  size_t i = 0;
  for (; i < arguments.size(); ++i) {
    std::string& word = arguments[i];
    if (word.size() < 2 || word[0] != '-' || word == "--") break;
    if (word.rfind("--", 0) == 0) {
      const size_t name_end = std::min(word.find('='), word.size());
      std::replace(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(name_end),
                   '_', '-');
    }
    const CLI::Option* option = app.get_option_no_throw(word);
    if (option != nullptr && option->get_items_expected_max() > 0) ++i;
  }
  return std::min(i, arguments.size());
}

void place(const Words& words, const Machine& machine, Options& options) {
  options.nodes = nodes_of(words.nodes);
  options.ranks_per_node = ranks_of(words.ranks, machine);
  if (words.standalone) {
    if (options.nodes > 1 || words.node_rank.value_or(0) != 0) {
      refuse(
          "--standalone is a job of one machine; leave --nnodes and --node-rank out");
    }
    options.master_port = 0;
    return;
  }
  if (!words.endpoint.empty()) {
    const size_t colon = words.endpoint.rfind(':');
    const std::string host = words.endpoint.substr(0, colon);
    const bool ipv6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
    options.master_addr = ipv6 ? host.substr(1, host.size() - 2) : host;
    if (host.empty()) refuse("--rdzv-endpoint " + words.endpoint + ": give HOST:PORT");
    if (colon != std::string::npos) {
      const auto port = number(words.endpoint.substr(colon + 1));
      if (!port || *port < 0 || *port > 65535) {
        refuse("--rdzv-endpoint " + words.endpoint + ": give HOST:PORT");
      }
      options.master_port = *port;
    }
  }
  if (words.master_addr) options.master_addr = *words.master_addr;
  if (words.master_port) options.master_port = *words.master_port;
  if (options.nodes == 1) {
    if (words.node_rank.value_or(0) != 0) {
      refuse("--node-rank " + std::to_string(*words.node_rank) +
             " of one machine; give --nnodes");
    }
    return;
  }

  const std::string of_nodes = "--nnodes " + std::to_string(options.nodes);
  if (host::is_loopback(options.master_addr)) {
    std::string own;
    for (const std::string& address : machine.addresses) {
      own += (own.empty() ? "" : " or ") + address;
    }
    refuse(of_nodes + " cannot meet at " + options.master_addr +
           ", which every machine has for itself; give machine 0's address as "
           "--master-addr on all of them" +
           (own.empty() ? "" : " (this one's: " + own + ")"));
  }
  if (options.master_port == 0) {
    refuse(of_nodes + " meet at a port that all of them know; give --master-port");
  }
  const auto node_rank = words.node_rank ? words.node_rank : machine.node_rank;
  if (!node_rank) {
    refuse(of_nodes + " without --node-rank; give each machine its number, 0 to " +
           std::to_string(options.nodes - 1));
  }
  options.node_rank = *node_rank;
  if (options.node_rank < 0 || options.node_rank >= options.nodes) {
    refuse("--node-rank " + std::to_string(options.node_rank) + " is not 0 to " +
           std::to_string(options.nodes - 1) + ", below " + of_nodes);
  }
}

void route(const Words& words, bool told, Options& options) {
  const bool logs = !options.log_dir.empty();
  const int ranks = options.ranks_per_node;
  const auto redirects = streams_of("--redirects", words.redirects, ranks);
  const auto tee = streams_of("--tee", logs && !told ? "3" : words.tee, ranks);
  const Streams both{true, true};
  options.to_file.resize(tee.size());
  options.to_console.resize(tee.size(), both);
  bool any = false;
  for (size_t rank = 0; rank < tee.size(); ++rank) {
    for (const Stream stream : {kOut, kErr}) {
      const bool alone = redirects[rank][stream] && !tee[rank][stream];
      options.to_file[rank][stream] = redirects[rank][stream] || tee[rank][stream];
      options.to_console[rank][stream] = !alone;
      any = any || options.to_file[rank][stream];
    }
  }
  if (any && !logs) {
    refuse("--tee and --redirects write logs; give their folder, --log-dir DIR");
  }
}

}  // namespace

Options parse_command_line(const std::vector<std::string>& arguments,
                           const Machine& machine) {
  Options options;
  Words words;
  CLI::App app(
      "launch [OPTIONS] PROGRAM [ARGUMENTS...]\n"
      "Starts a job's ranks on this machine, as torchrun does. On several machines "
      "start it on each.",
      "launch");
  bind(app, words, options);
  std::vector<std::string> all = arguments;
  const auto program = all.begin() + static_cast<std::ptrdiff_t>(normalise(app, all));
  std::vector<std::string> ours(all.begin(), program);
  std::reverse(ours.begin(), ours.end());  // as CLI11 wants a vector
  try {
    app.parse(ours);
  } catch (const CLI::CallForHelp&) {
    options.help = app.help();
    return options;
  }
  options.command.assign(program, all.end());
  if (!options.command.empty() && options.command[0] == "--") {
    options.command.erase(options.command.begin());
  }
  if (options.command.empty()) refuse("no program to start; see --help");
  place(words, machine, options);
  route(words, app.count("--tee") + app.count("--redirects") > 0, options);
  if (words.timeout_s) {
    options.first_timeout = options.timeout = std::chrono::seconds(*words.timeout_s);
  }
  return options;
}

}  // namespace lockstep::agent
