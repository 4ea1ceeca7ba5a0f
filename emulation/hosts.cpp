#include "emulation/hosts.h"

#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "emulation/processors.h"

namespace lockstep::emulation {
namespace {

using Words = Hosts::Words;
using std::chrono::milliseconds;

launch::Command captured(const Words& words) {
  launch::Command command;
  command.argv = words;
  command.out = command.err = launch::Output::kCapture;
  return command;
}

// What it printed.
std::string must(const Words& words) {
  launch::Process process(captured(words));
  if (process.wait().code == 0) return process.out();
  std::string shown;
  for (const std::string& word : words) shown += word + " ";
  throw std::runtime_error(shown + "failed: " + process.err());
}

// All of these words become one process. Whoever made it may have ended before the
// kernel was told to watch: then it has another parent by now.
std::unique_ptr<launch::Process> sleeper() {
  const std::string made_by = "[ $PPID = " + std::to_string(getpid()) + " ] || exit; ";
  auto host = std::make_unique<launch::Process>(
      captured({"setpriv", "--pdeathsig", "KILL", "unshare", "-n", "sh", "-c",
                made_by + "echo up; exec sleep infinity"}));
  while (host->out().empty()) {
    if (host->wait_for(milliseconds(10))) {
      throw std::runtime_error("an emulated host ended at its start: " + host->err());
    }
  }
  return host;
}

Words within(const launch::Process& host, const Words& command) {
  Words words = {"nsenter", "--net", "--target", std::to_string(host.pid()), "--"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

std::string port(int host) { return "port" + std::to_string(host); }

}  // namespace

std::string Hosts::cannot() {
  if (geteuid() != 0) return "network namespaces need root";
  try {
    launch::Process process(
        captured({"unshare", "-n", "ip", "link", "add", "type", "bridge"}));
    return process.wait().code == 0 ? "" : "no network namespace: " + process.err();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

Hosts::Hosts(int count, const std::string& rate) : switch_(sleeper()) {
  must(within(*switch_, {"ip", "link", "add", "switch", "type", "bridge"}));
  must(within(*switch_, {"ip", "link", "set", "switch", "up"}));
  for (int host = 0; host < count; ++host) {
    hosts_.push_back(sleeper());
    must({"ip", "link", "add", "cable", "netns", pid(host), "type", "veth", "peer",
          "name", port(host), "netns", std::to_string(switch_->pid())});
    must(within(*switch_, {"ip", "link", "set", port(host), "master", "switch", "up"}));
    must(on(host, {"ip", "addr", "add", address(host) + "/24", "dev", "cable"}));
    must(on(host, {"ip", "link", "set", "lo", "up"}));
    must(on(host, {"ip", "link", "set", "cable", "up"}));
    if (!rate.empty()) shape(host, rate);
  }
  for (int host = 0; host < count; ++host) await_cable(host);
}

std::string Hosts::address(int host) {
  return "192.168.77." + std::to_string(host + 1);
}

Words Hosts::on(int host, const Words& command) const {
  return within(*hosts_.at(static_cast<size_t>(host)), command);
}

Words Hosts::on_its_processors(int host, const Words& command) const {
  const std::string own = share_of(host, count(), processors());
  if (own.empty()) return on(host, command);
  Words bound = {"taskset", "--cpu-list", own};
  bound.insert(bound.end(), command.begin(), command.end());
  return on(host, bound);
}

void Hosts::cut_cable(int host) const {
  must(on(host, {"ip", "link", "set", "cable", "down"}));
}

void Hosts::plug_cable_in(int host) const {
  must(on(host, {"ip", "link", "set", "cable", "up"}));
  await_cable(host);
}

std::string Hosts::pid(int host) const {
  return std::to_string(hosts_.at(static_cast<size_t>(host))->pid());
}

// A token bucket at either end: full duplex. Its queue holds 50 ms, as a switch's does.
void Hosts::shape(int host, const std::string& rate) const {
  const auto slow = [&](const std::string& device) {
    return Words{"tc",   "qdisc", "add",   "dev",   device,    "root", "tbf",
                 "rate", rate,    "burst", "256kb", "latency", "50ms"};
  };
  must(on(host, slow("cable")));
  must(within(*switch_, slow(port(host))));
}

// The kernel takes up to a second to notice that the other end was plugged in; until
// then the interface is up but does not run, and who looks for an address passes it
// over.
void Hosts::await_cable(int host) const {
  constexpr std::chrono::seconds kPatience{20};
  const auto since = std::chrono::steady_clock::now();
  while (true) {
    const std::string link = must(on(host, {"ip", "-o", "link", "show", "cable"}));
    if (link.find(" state UP ") != std::string::npos) return;
    if (std::chrono::steady_clock::now() - since > kPatience) {
      throw std::runtime_error("emulated host " + std::to_string(host) +
                               "'s end of the cable is not up after " +
                               std::to_string(kPatience.count()) + " s: " + link);
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
}

}  // namespace lockstep::emulation
