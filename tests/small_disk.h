// A disk of a few MiB in memory for tests of what a full one does: mounted where only
// the processes started on it see it. It ends with the test, whoever kills it.
#pragma once

#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "launch/process.h"
#include "tests/test_folder.h"

namespace lockstep {

class SmallDisk {
 public:
  using Words = std::vector<std::string>;

  // Why there can be none here; empty: there can.
  static std::string cannot() {
    if (geteuid() != 0) return "mounting a disk needs root";
    launch::Command command;
    command.argv = {"unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"};
    command.out = command.err = launch::Output::kCapture;
    launch::Process process(command);
    return process.wait().code == 0 ? "" : "no disk in memory: " + process.err();
  }

  explicit SmallDisk(int64_t bytes) {
    launch::Command command;
    command.argv = {"setpriv",
                    "--pdeathsig",
                    "KILL",
                    "unshare",
                    "--mount",
                    "sh",
                    "-c",
                    "mount -t tmpfs -o size=" + std::to_string(bytes) + " none " +
                        path() + " && echo there && exec sleep infinity"};
    command.out = command.err = launch::Output::kCapture;
    holder_ = std::make_unique<launch::Process>(command);
    while (holder_->out().empty()) {
      if (holder_->wait_for(std::chrono::milliseconds(10))) {
        throw std::runtime_error("no small disk: " + holder_->err());
      }
    }
  }

  // Where those who see it find it.
  std::string path() const { return folder_ / ""; }
  // The same for this process, which does not.
  std::string seen_from_here() const {
    return "/proc/" + std::to_string(holder_->pid()) + "/root" + path();
  }

  // The command as it is started by somebody who sees it.
  Words on(const Words& command) const {
    Words words = {"nsenter", "--mount", "--target", std::to_string(holder_->pid()),
                   "--"};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }

  void resize(int64_t bytes) {
    launch::Command command;
    command.argv = on({"mount", "-o", "remount,size=" + std::to_string(bytes), path()});
    if (launch::Process(command).wait().code != 0) {
      throw std::runtime_error("the small disk keeps its size");
    }
  }

 private:
  TestFolder folder_;
  // Sleeps; its view of the disks, and with it this one, lives as long as it does.
  std::unique_ptr<launch::Process> holder_;
};

}  // namespace lockstep
