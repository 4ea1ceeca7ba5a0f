// The checks of lab 8: numbers first, then what follows from them, then the training.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grading/check.h"
#include "labs/rendezvous.h"

namespace lockstep::labs {

// The student's.
Rendezvous student();

// What each rank of a job is told, in the order of ranks: so many cards a node, meeting
// at 10.1.1.20:29600.
std::vector<Told> all_ranks(const std::vector<int>& gpus, int global_batch);
// A job whose nodes have as many cards each, but not as many as there are nodes.
std::vector<int> even_nodes(uint64_t seed);
// Machines of different numbers of cards.
std::vector<int> uneven_nodes(uint64_t seed);

// "nodes of 4 + 2 cards, node 1, local rank 0"
std::string name_of(const Told& told);

// Somebody who believes something, and what a number comes to then.
struct Belief {
  grading::Misconception misconception;
  std::function<int(const Told&)> comes_to;
};
struct Number {
  std::string name;  // "rank"
  std::function<int(const Told&)> got;
  std::function<int(const Told&)> right;
  // The first that explains what every rank got is named; the last, where none does.
  std::vector<Belief> beliefs;
};
void compare(const Number& number, const std::vector<Told>& job);

// As the tutorials count, on any nodes.
int rank_of(const Told& told);
int world_size_of(const Told& told);

void check_meeting(uint64_t seed);
void check_share(uint64_t seed);
void check_launcher(uint64_t seed);
void check_refusals(uint64_t seed);
void check_training(uint64_t seed);

}  // namespace lockstep::labs
