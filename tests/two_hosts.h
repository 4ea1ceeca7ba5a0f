// Two hosts on this machine for tests of what crosses a network: network namespaces
// with a cable between them, each with a loopback of its own. They end with the test,
// whoever kills it.
#pragma once

#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "launch/process.h"

namespace lockstep {

class TwoHosts {
 public:
  using Words = std::vector<std::string>;

  // Why this machine has no such hosts; empty: it has.
  static std::string cannot() {
    if (geteuid() != 0) return "network namespaces need root";
    launch::Command command;
    command.argv = {"unshare", "-n", "ip", "link", "set", "lo", "up"};
    command.out = command.err = launch::Output::kCapture;
    launch::Process process(command);
    return process.wait().code == 0 ? "" : "no network namespace: " + process.err();
  }

  TwoHosts() {
    for (auto& host : hosts_) {
      launch::Command command;
      command.argv = {"setpriv", "--pdeathsig", "KILL", "unshare",
                      "-n",      "sh",          "-c",   "echo up; exec sleep infinity"};
      command.out = launch::Output::kCapture;
      host = std::make_unique<launch::Process>(command);
      while (host->out().empty()) {
        if (host->wait_for(std::chrono::milliseconds(10))) {
          throw std::runtime_error("a host ended at its start");
        }
      }
    }
    must({"ip", "link", "add", "cable", "netns", pid(0), "type", "veth", "peer", "name",
          "cable", "netns", pid(1)});
    for (const int host : {0, 1}) {
      must(on(host, {"ip", "addr", "add", address(host) + "/24", "dev", "cable"}));
      must(on(host, {"ip", "link", "set", "lo", "up"}));
    }
    plug_cable_in();
  }

  void plug_cable_in() const {
    for (const int host : {0, 1}) must(on(host, {"ip", "link", "set", "cable", "up"}));
    for (const int host : {0, 1}) await_cable(host);
  }

  // Above 127: of two ranks gloo has the one with the higher address connect, so below
  // it a rank that wrongly goes by 127.0.0.1 would still be reached.
  static std::string address(int host) {
    return "192.168.77." + std::to_string(host + 1);
  }

  // The command as it is started on that host.
  Words on(int host, const Words& command) const {
    Words words = {"nsenter", "--net", "--target", pid(host), "--"};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }

  void cut_cable() const { must(on(0, {"ip", "link", "set", "cable", "down"})); }

 private:
  std::string pid(int host) const {
    return std::to_string(hosts_[static_cast<size_t>(host)]->pid());
  }

  // What it printed.
  static std::string must(const Words& words) {
    launch::Command command;
    command.argv = words;
    command.out = command.err = launch::Output::kCapture;
    launch::Process process(command);
    if (process.wait().code == 0) return process.out();
    std::string shown;
    for (const std::string& word : words) shown += word + " ";
    throw std::runtime_error(shown + "failed: " + process.err());
  }

  // The kernel takes up to a second to notice that the other end was plugged in; until
  // then the interface is up but does not run, and who looks for an address passes it
  // over.
  void await_cable(int host) const {
    constexpr std::chrono::seconds kPatience{20};
    const auto since = std::chrono::steady_clock::now();
    while (true) {
      const std::string link = must(on(host, {"ip", "-o", "link", "show", "cable"}));
      if (link.find(" state UP ") != std::string::npos) return;
      if (std::chrono::steady_clock::now() - since > kPatience) {
        throw std::runtime_error("host " + std::to_string(host) +
                                 "'s end of the cable is not up after " +
                                 std::to_string(kPatience.count()) + " s: " + link);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  // Each sleeps; its namespace lives as long as it does.
  std::array<std::unique_ptr<launch::Process>, 2> hosts_;
};

}  // namespace lockstep
