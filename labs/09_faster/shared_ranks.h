// Lab 9's ranks: threads that share memory as processes do, and the student's
// all-reduce timed on them beside ours.
#pragma once

#include <functional>
#include <string>

#include "labs/faster.h"

namespace lockstep::labs {

// `work` on each of so many ranks at once; returns the first text that is not empty,
// after all have ended, or rethrows the first error. A rank that finds something wrong
// goes on: the others wait for it.
std::string on_ranks(int ranks, const std::function<std::string(SharedNumbers&)>& work);

// A table: microseconds a call of the student's and of ours, and their ratio with its
// spread, for sizes from 1 KiB to 4 MiB. Two ranks; turns are short and interleaved.
void print_speed();

}  // namespace lockstep::labs
