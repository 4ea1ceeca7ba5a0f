// What a cell asks for: a figure that a student tells by a formula before a run
// measures it. A formula is held against several cases, so that no constant is right.
//
// Not here: the student's file (cell_file.h), what a formula is worth (judge.h).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace lockstep::cells {

struct MeasuredCase {
  std::string name;                     // what was run, in a few words
  std::map<std::string, double> given;  // what a formula may use, by name
  double measured = 0;
};

struct Quantity {
  std::string id;    // the stem of its file: "4_rank"
  std::string asks;  // "bytes that a rank sends in a ring's all_reduce"
  std::string read;  // chapter and anchor: "4_many_machines.md#rank"
  // The largest error, relative to what is measured, that still has full and half
  // points. Full at 0: to the last digit.
  double full = 0, half = 0;
  // Runs it. Throws std::runtime_error, in one line.
  std::function<std::vector<MeasuredCase>()> measure;
};

// All of them, in the order of the chapters.
std::vector<Quantity> all_quantities();
// Throws std::invalid_argument for an id that none has, listing those there are.
Quantity quantity_named(const std::string& id);

// The chapters' quantities, a file each.
std::vector<MeasuredCase> parameter_bytes();      // of perceptrons
std::vector<MeasuredCase> primary_card_bytes();   // under DataParallel
std::vector<MeasuredCase> steps_an_epoch();       // of DDP's ranks
std::vector<MeasuredCase> messages_of_batches();  // of the naive reducer
std::vector<MeasuredCase> global_rank();
std::vector<MeasuredCase> ring_bytes();
std::vector<MeasuredCase> step_over_a_cable();  // of kept rows: it takes a root's hosts

}  // namespace lockstep::cells
