// Hosts that this one machine plays: network namespaces, each with a loopback of its
// own and a cable to a switch between them, as slow as wanted. For what crosses a
// network where there is none: tests, and DDP over slow links. They end with whoever
// made them, whoever kills it.
//
// The hosts share this machine's files and users, and its processors unless told not
// to. Needs root.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/process.h"

namespace lockstep::emulation {

class Hosts {
 public:
  using Words = std::vector<std::string>;

  // Why this machine can play none, in one line; empty: it can.
  static std::string cannot();

  // `rate`: of each cable, each way, as tc writes it ("300mbit"); empty: as quick as
  // the machine. Make them on the main thread. Throws std::runtime_error.
  explicit Hosts(int count, const std::string& rate = {});

  int count() const { return static_cast<int>(hosts_.size()); }

  // Above 127: of two ranks gloo has the one with the higher address connect, so below
  // it a rank that wrongly goes by 127.0.0.1 would still be reached.
  static std::string address(int host);

  // The command as it is started on that host.
  Words on(int host, const Words& command) const;
  // The same on the host's own processors, as no machine borrows another's: this
  // machine's in equal shares, or one for as many hosts each. Anywhere where the shares
  // would not be equal.
  Words on_its_processors(int host, const Words& command) const;

  void cut_cable(int host) const;
  // Returns when the host has noticed.
  void plug_cable_in(int host) const;

 private:
  std::string pid(int host) const;
  void shape(int host, const std::string& rate) const;
  void await_cable(int host) const;

  // Each sleeps; its namespace lives as long as it does.
  std::unique_ptr<launch::Process> switch_;
  std::vector<std::unique_ptr<launch::Process>> hosts_;
};

}  // namespace lockstep::emulation
