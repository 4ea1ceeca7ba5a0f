// A training run in processes of its own, and how far two runs are apart. Every run of
// a test program is made once, whoever asks for it again.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace lockstep::equality {

using Words = std::vector<std::string>;

// "ddp --gpus 2" and " --steps 3" as words.
Words words(const std::string& text);

// Losses of a command that writes --metrics-file itself (it is appended here), one a
// step. Throws std::runtime_error with the command and what it said, where it does not
// exit with 0 in time.
const std::vector<double>& losses(const Words& command);

// Losses of one of the programs: words("ddp --gpus 2 ...").
const std::vector<double>& program_losses(const std::string& command_line);

struct TestSet {
  int64_t correct = 0;
  int64_t evaluated = 0;
};
// What --eval counted: evaluated_by("ddp --gpus 3 ...").
TestSet evaluated_by(const std::string& command_line);

// The Python peer: one process, or `ranks` of DistributedDataParallel under torchrun.
const std::vector<double>& python_losses(
    int ranks, const std::string& options,
    const std::string& script = "/bench/peers/train.py");

// The same for several command lines of train.py by one start, which takes seconds.
std::map<std::string, std::vector<double>> python_losses_of_all(int ranks,
                                                                const Words& lines);

struct WatchedRun {
  std::vector<double> losses;
  std::map<std::string, at::Tensor>
      tensors;  // rank 0's parameters and buffers, by name
};

// The same program with the witness beside its loop (witness.cpp). Where there are
// several ranks, all hold equal parameters to the bit; else it throws.
const WatchedRun& watched(const std::string& command_line);

// The largest |a-b| / |b| over steps. Throws where there are not `steps` of both.
double apart(const std::vector<double>& a, const std::vector<double>& b, size_t steps);

// The largest norm(a-b) / norm(b) over tensors; their names must be the same. Of
// tensors that are zero in b the norm itself counts.
double apart(const std::map<std::string, at::Tensor>& a,
             const std::map<std::string, at::Tensor>& b);

}  // namespace lockstep::equality
