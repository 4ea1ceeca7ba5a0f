// A real Slurm of one host for tests: munged, slurmctld and slurmd of Debian's packages
// with a configuration of their own, in a folder and at ports of their own, whatever
// else runs on this machine. They end with the test, whoever kills it.
#pragma once

#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "launch/listener.h"
#include "launch/process.h"
#include "tests/test_folder.h"

namespace lockstep {

class OneSlurm {
 public:
  using Words = std::vector<std::string>;

  // Why there can be none here; empty: there can.
  static std::string cannot() {
    return geteuid() == 0 ? "" : "Slurm's daemons need root";
  }

  OneSlurm() {
    write_configuration();
    start(0, {"munged", "--foreground", "--force", "--key-file=" + (folder_ / "key"),
              "--socket=" + (folder_ / "munge"), "--pid-file=" + (folder_ / "pid"),
              "--log-file=" + (folder_ / "munge.log"),
              "--seed-file=" + (folder_ / "seed")});
    await("munged", [&] { return std::filesystem::exists(folder_ / "munge"); });
    start(1, {"slurmctld", "-D", "-f", configuration()});
    start(2, {"slurmd", "-D", "-f", configuration()});
    await("Slurm's node", [&] {
      launch::Command command;
      command.argv = with({"sinfo", "-h", "-o", "%T"});
      command.out = command.err = launch::Output::kCapture;
      launch::Process process(command);
      return process.wait().code == 0 && process.out() == "idle\n";
    });
  }

  // The command as it speaks to this Slurm.
  Words with(const Words& command) const {
    Words words = {"env", "SLURM_CONF=" + configuration()};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }

 private:
  std::string configuration() const { return folder_ / "slurm.conf"; }

  void write_configuration() const {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    std::string name = host.data();
    name = name.substr(0, name.find('.'));
    std::random_device random;
    std::ofstream key(folder_ / "key", std::ios::binary);
    for (int i = 0; i < 1024; ++i) key << static_cast<char>(random());
    std::filesystem::permissions(folder_ / "key", std::filesystem::perms::owner_read);
    // Both at once, so that they are two.
    const launch::Listener controller, node;
    // No accounting, no cgroups; four tasks on however few cores.
    std::ofstream(configuration())
        << "ClusterName=lockstep\nSlurmUser=root\nSlurmctldHost=" << name
        << "(127.0.0.1)\nSlurmctldPort=" << controller.port()
        << "\nSlurmdPort=" << node.port()
        << "\nAuthType=auth/munge\nAuthInfo=socket=" << folder_ / "munge"
        << "\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none"
           "\nSelectType=select/cons_tres\nReturnToService=2\nStateSaveLocation="
        << folder_ / "state"
        << "\nSlurmdSpoolDir=" << folder_ / "spool"
        << "\nSlurmctldPidFile=" << folder_ / "controller.pid"
        << "\nSlurmdPidFile=" << folder_ / "node.pid"
        << "\nSlurmctldLogFile=" << folder_ / "controller.log"
        << "\nSlurmdLogFile=" << folder_ / "node.log"
        << "\nNodeName=" << name
        << " NodeAddr=127.0.0.1 CPUs=" << std::thread::hardware_concurrency()
        << " State=UNKNOWN\nPartitionName=main Nodes=" << name
        << " Default=YES State=UP\n";
    std::filesystem::create_directory(folder_ / "state");
    std::filesystem::create_directory(folder_ / "spool");
  }

  void start(size_t place, const Words& daemon) {
    launch::Command command;
    command.argv = {"setpriv", "--pdeathsig", "KILL"};
    command.argv.insert(command.argv.end(), daemon.begin(), daemon.end());
    command.out = command.err = launch::Output::kCapture;
    daemons_[place] = std::make_unique<launch::Process>(command);
  }

  template <typename Function>
  void await(const std::string& what, Function there) const {
    constexpr std::chrono::seconds kPatience{60};
    const auto since = std::chrono::steady_clock::now();
    while (!there()) {
      for (const auto& daemon : daemons_) {
        if (daemon && daemon->wait_for(std::chrono::milliseconds(0))) {
          throw std::runtime_error("a daemon ended: " + daemon->err());
        }
      }
      if (std::chrono::steady_clock::now() - since > kPatience) {
        throw std::runtime_error(what + " is not there after 60 s");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }

  TestFolder folder_;  // goes after the daemons, which write into it
  std::array<std::unique_ptr<launch::Process>, 3> daemons_;
};

}  // namespace lockstep
