// The grader of lab 8: the numbers that a rank computes, compared with those that the
// tutorials' mistakes come to.
#include "grading/grader.h"

#include <numeric>
#include <random>

#include "labs/08_rendezvous/rendezvous_checks.h"

namespace lockstep::labs {

using grading::Misconception;

Registry<Rendezvous()>& rendezvous() {
  static Registry<Rendezvous()> known("rendezvous", {});
  return known;
}

Rendezvous student() { return rendezvous().at("student")(); }

std::vector<Told> all_ranks(const std::vector<int>& gpus, int global_batch) {
  std::vector<Told> job;
  for (size_t node = 0; node < gpus.size(); ++node) {
    for (int local_rank = 0; local_rank < gpus[node]; ++local_rank) {
      job.push_back({gpus,
                     static_cast<int>(node),
                     local_rank,
                     global_batch,
                     "10.1.1.20",
                     29600,
                     {}});
    }
  }
  return job;
}

std::vector<int> even_nodes(uint64_t seed) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  const size_t nodes = 2 + random() % 3;
  const int gpus = static_cast<int>(2 + random() % 3);
  return std::vector<int>(nodes, gpus == static_cast<int>(nodes) ? 5 : gpus);
}

std::vector<int> uneven_nodes(uint64_t seed) {
  std::minstd_rand random(static_cast<unsigned>(seed));
  const int one = static_cast<int>(2 + random() % 2);
  return {one + 2, one, 1, one + 1};
}

std::string name_of(const Told& told) {
  std::string nodes;
  for (const int gpus : told.gpus) {
    nodes += (nodes.empty() ? "" : " + ") + std::to_string(gpus);
  }
  return "nodes of " + nodes + " cards, node " + std::to_string(told.node_rank) +
         ", local rank " + std::to_string(told.local_rank);
}

void compare(const Number& number, const std::vector<Told>& job) {
  const Told* wrong = nullptr;
  std::vector<bool> explains(number.beliefs.size(), true);
  for (const Told& told : job) {
    const int got = number.got(told);
    if (got != number.right(told) && wrong == nullptr) wrong = &told;
    for (size_t i = 0; i < explains.size(); ++i) {
      explains[i] = explains[i] && number.beliefs[i].comes_to(told) == got;
    }
  }
  if (wrong == nullptr) return;
  explains.back() = true;
  const auto first = std::find(explains.begin(), explains.end(), true);
  throw grading::Refused(
      number.beliefs[static_cast<size_t>(first - explains.begin())].misconception,
      name_of(*wrong) + ": " + number.name + " " + std::to_string(number.got(*wrong)) +
          ", not " + std::to_string(number.right(*wrong)));
}

int rank_of(const Told& told) {
  return std::accumulate(told.gpus.begin(), told.gpus.begin() + told.node_rank, 0) +
         told.local_rank;
}

int world_size_of(const Told& told) {
  return std::accumulate(told.gpus.begin(), told.gpus.end(), 0);
}

namespace {

const Misconception kRank = {
    "rank_is_a_sum",
    "a rank is the number of cards on the nodes before its own, plus its local rank",
    "4_many_machines.md#rank"};
const Misconception kWorldSize = {"world_is_a_sum",
                                  "the world is all nodes' ranks together",
                                  "4_many_machines.md#world-size"};
const Misconception kCard = {"card_is_the_local_rank",
                             "each node counts its cards from 0",
                             "4_many_machines.md#card"};
const Misconception kEven = {"nodes_are_alike",
                             "nodes may have different numbers of cards: what counts "
                             "is those of the nodes before",
                             "4_many_machines.md#rank"};

int nodes(const Told& told) { return static_cast<int>(told.gpus.size()); }
int gpus(const Told& told) { return told.gpus[static_cast<size_t>(told.node_rank)]; }

void check_ranks(uint64_t seed) {
  const auto wrong = [](const char* id, const char* says) {
    return Misconception{id, says, kRank.read};
  };
  compare(
      {"rank",
       [](const Told& told) { return student().ranks(told).rank; },
       &rank_of,
       {{wrong("local_rank_for_rank",
               "a local rank counts on its node alone: every node has a 0"),
         [](const Told& told) { return told.local_rank; }},
        {wrong("nodes_for_node_rank",
               "before a node stand node_rank nodes, not all of them"),
         [](const Told& told) { return nodes(told) * gpus(told) + told.local_rank; }},
        {wrong("world_size_for_gpus",
               "before a node stand its predecessors' cards, not whole worlds"),
         [](const Told& told) {
           return told.node_rank * world_size_of(told) + told.local_rank;
         }},
        {wrong("ranks_in_turn",
               "nodes are filled one after the other, not dealt to in turn"),
         [](const Told& told) {
           return told.local_rank * nodes(told) + told.node_rank;
         }},
        {kRank, &rank_of}}},
      all_ranks(even_nodes(seed), 64));
}

void check_world_size(uint64_t seed) {
  compare(
      {"world size",
       [](const Told& told) { return student().ranks(told).world_size; },
       &world_size_of,
       {{{"one_node_for_the_world",
          "gpus counts one node's ranks; the world is all nodes' together",
          kWorldSize.read},
         &gpus},
        {{"nodes_for_the_world", "the world counts ranks, not nodes", kWorldSize.read},
         &nodes},
        {kWorldSize, &world_size_of}}},
      all_ranks(even_nodes(seed), 64));
}

void check_card(uint64_t seed) {
  compare({"card",
           [](const Told& told) { return student().ranks(told).card; },
           [](const Told& told) { return told.local_rank; },
           {{{"rank_for_card",
              "a card is counted on its node: the rank is right on the first node only",
              kCard.read},
             &rank_of},
            {kCard, &rank_of}}},
          all_ranks(even_nodes(seed), 64));
}

void check_uneven(uint64_t seed) {
  const std::vector<Told> job = all_ranks(uneven_nodes(seed), 64);
  compare({"rank",
           [](const Told& told) { return student().ranks(told).rank; },
           &rank_of,
           {{kEven, &rank_of}}},
          job);
  compare({"world size",
           [](const Told& told) { return student().ranks(told).world_size; },
           &world_size_of,
           {{kEven, &world_size_of}}},
          job);
}

}  // namespace
}  // namespace lockstep::labs

int main(int argc, char** argv) {
  using namespace lockstep::labs;
  const Misconception place = {"one_store_one_place",
                               "one rank hosts the store, all come to the same place",
                               "4_many_machines.md#one-store"};
  const Misconception share = {"a_share_is_a_ranks",
                               "batch and samples are divided among all ranks",
                               "4_many_machines.md#share-of-the-data"};
  const Misconception launcher = {"launcher_not_asked",
                                  "whoever started the ranks knows who they are",
                                  "4_many_machines.md#launcher"};
  const Misconception refusals = {"takes_contradictions",
                                  "what cannot be is refused at the start, in one line",
                                  "4_many_machines.md#contradictions"};
  const Misconception training = {
      "four_numbers", "rank, world size, card and place must fit each other",
      "4_many_machines.md#the-four"};
  lockstep::grading::Lab lab{8, "rendezvous", "Rendezvous and rank arithmetic", {}};
  lab.checks = {
      {"ranks", "every rank of equal nodes has its own number, node after node", 2,
       kRank, &check_ranks, 3},
      {"world_size", "the world is all ranks", 1, kWorldSize, &check_world_size, 3},
      {"card", "a rank takes its own card of its node", 2, kCard, &check_card, 3},
      {"uneven", "the same where nodes have different numbers of cards", 2, kEven,
       &check_uneven, 3},
      {"meeting", "one rank hosts the store, and all come there", 2, place,
       &check_meeting, 3},
      {"share", "each rank has its part of batch and samples, one writes", 2, share,
       &check_share, 3},
      {"launcher", "what torchrun says goes first", 1, launcher, &check_launcher},
      {"refusals", "what cannot be is a std::invalid_argument", 1, refusals,
       &check_refusals},
      {"training", "four ranks meet and train, with one card's losses", 2, training,
       &check_training, 1, std::chrono::seconds(15)}};
  return lockstep::grading::run_grader(lab, argc, argv);
}
