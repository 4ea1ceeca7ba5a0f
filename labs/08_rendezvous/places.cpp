// What follows from the numbers: where ranks meet, what each has of the data, who
// writes; what a launcher says first; and what cannot be.
#include <set>
#include <stdexcept>

#include "labs/08_rendezvous/rendezvous_checks.h"
#include "labs/graders/listed.h"

namespace lockstep::labs {

using grading::Misconception;
using grading::Refused;

namespace {

Misconception store(const char* id, const char* says) {
  return {id, says, "4_many_machines.md#one-store"};
}
Misconception writer(const char* id, const char* says) {
  return {id, says, "4_many_machines.md#one-writer"};
}

// Which ranks say yes: "rank 0, 4".
std::string named(const std::set<int>& ranks) {
  return ranks.empty() ? "nobody" : "rank " + listed(ranks, 6);
}

std::set<int> who(const std::vector<Told>& job,
                  const std::function<bool(const Told&)>& says_yes) {
  std::set<int> ranks;
  for (const Told& told : job) {
    if (says_yes(told)) ranks.insert(rank_of(told));
  }
  return ranks;
}

std::string text(const Meeting& place) {
  return place.host + ":" + std::to_string(place.port);
}

void expect_place(const Told& told, const std::string& expected,
                  const Misconception& otherwise) {
  const std::string place = text(student().meeting(told));
  if (place == expected) return;
  throw Refused(otherwise, name_of(told) + ": meets at " + place + ", not " + expected);
}

}  // namespace

void check_meeting(uint64_t seed) {
  const std::vector<Told> job = all_ranks(even_nodes(seed), 64);
  const auto hosts =
      who(job, [](const Told& told) { return student().meeting(told).hosts_store; });
  if (hosts != std::set<int>{0}) {
    const auto firsts = who(job, [](const Told& told) { return told.local_rank == 0; });
    throw Refused(
        hosts.size() == job.size()
            ? store("every_rank_hosts",
                    "a rank that hosts a store of its own meets nobody")
        : hosts == firsts
            ? store("each_node_hosts",
                    "local rank 0 is on every node; one process of the job hosts")
            : store("rank_0_hosts", "rank 0 hosts the store, and nobody else"),
        named(hosts) + " of " + std::to_string(job.size()) +
            " would host the store, not rank 0 alone");
  }
  std::set<int> ports;
  for (const Told& told : job) {
    const Meeting place = student().meeting(told);
    ports.insert(place.port);
    if (place.host == "127.0.0.1" || place.host == "localhost") {
      throw Refused(store("loopback_over_nodes",
                          "127.0.0.1 is each node by itself, not where node 0 is"),
                    name_of(told) + ", told 10.1.1.20: meets at " + text(place));
    }
  }
  if (ports.size() > 1) {
    throw Refused(store("own_port", "all ranks come to one port, that of the store"),
                  std::to_string(ports.size()) + " ports for " +
                      std::to_string(job.size()) + " ranks, " +
                      std::to_string(*ports.begin()) + " to " +
                      std::to_string(*ports.rbegin()) + "; told 29600");
  }
  const Misconception place =
      store("place_not_as_told", "all ranks meet where the command line says");
  for (const Told& told : job) expect_place(told, "10.1.1.20:29600", place);
  Told alone = all_ranks({2}, 64)[1];
  alone.master_addr.clear();
  alone.master_port = 0;
  const Misconception defaults =
      store("no_default",
            "where nobody says anything one node meets on its own "
            "loopback, and the port is 29500");
  expect_place(alone, "127.0.0.1:29500", defaults);
  alone.master_addr = "10.1.1.20";
  expect_place(alone, "10.1.1.20:29500", defaults);
  Told unnumbered = job.back();
  unnumbered.master_port = 0;
  expect_place(unnumbered, "10.1.1.20:29500", defaults);
  // Somebody may set them who is no launcher.
  Told exported = job.back();
  exported.environment = {{"MASTER_ADDR", "node-0"}, {"MASTER_PORT", "29400"}};
  expect_place(exported, "node-0:29400",
               store("environment_not_asked",
                     "MASTER_ADDR and MASTER_PORT go before the command line, "
                     "whoever set them"));
}

void check_share(uint64_t seed) {
  const std::vector<int> nodes = even_nodes(seed);
  const int ranks = world_size_of(all_ranks(nodes, 0)[0]);
  const std::vector<Told> job = all_ranks(nodes, 6 * ranks);
  const auto data = [](const char* id, const char* says) {
    return Misconception{id, says, "4_many_machines.md#share-of-the-data"};
  };
  const Misconception other =
      data("a_share_is_a_ranks", "batch and samples are divided among all ranks");
  const auto six = [](const Told&) { return 6; };
  const auto local_rank = [](const Told& told) { return told.local_rank; };
  const auto gpus = [](const Told& told) { return told.gpus[0]; };
  compare({"local batch",
           [](const Told& told) { return student().share(told).local_batch; },
           six,
           {{data("global_batch_on_every_rank",
                  "the global batch is all ranks' together; each takes one part"),
             [](const Told& told) { return told.global_batch; }},
            {data("batch_by_node", "all nodes' ranks divide the batch, not one node's"),
             [](const Told& told) { return told.global_batch / told.gpus[0]; }},
            {other, six}}},
          job);
  const Misconception sampler = data(
      "sampler_by_local_rank", "by local ranks all nodes train on the same samples");
  compare({"share",
           [](const Told& told) { return student().share(told).share; },
           &rank_of,
           {{sampler, local_rank}, {other, &rank_of}}},
          job);
  compare({"number of shares",
           [](const Told& told) { return student().share(told).shares; },
           &world_size_of,
           {{sampler, gpus}, {other, &world_size_of}}},
          job);
  const auto writers = who(
      job, [](const Told& told) { return student().share(told).writes_checkpoint; });
  if (writers == std::set<int>{0}) return;
  const auto firsts = who(job, [](const Told& told) { return told.local_rank == 0; });
  throw Refused(
      writers.size() == job.size()
          ? writer("every_rank_writes", "ranks that write one file tear it")
      : writers == firsts
          ? writer("each_node_writes",
                   "nodes share the folder: one rank of the job writes")
          : writer("rank_0_writes", "rank 0 writes the checkpoint, and nobody else"),
      named(writers) + " of " + std::to_string(job.size()) +
          " would write the checkpoint, not rank 0 alone");
}

void check_launcher(uint64_t /*seed*/) {
  const Misconception ignored = {"launcher_not_asked",
                                 "whoever started the ranks knows who they are",
                                 "4_many_machines.md#launcher"};
  // The command line knows nothing of it.
  Told told = all_ranks({1}, 64)[0];
  told.environment = {{"RANK", "0"},
                      {"LOCAL_RANK", "3"},
                      {"WORLD_SIZE", "8"},
                      {"MASTER_ADDR", "node-0"},
                      {"MASTER_PORT", "29400"}};
  for (const int rank : {0, 7}) {
    told.environment["RANK"] = std::to_string(rank);
    const Ranks ranks = student().ranks(told);
    if (ranks.rank != rank || ranks.world_size != 8 || ranks.card != 3) {
      throw Refused(ignored, "RANK=" + std::to_string(rank) +
                                 " WORLD_SIZE=8 LOCAL_RANK=3: rank " +
                                 std::to_string(ranks.rank) + " of " +
                                 std::to_string(ranks.world_size) + ", card " +
                                 std::to_string(ranks.card));
    }
    const Meeting place = student().meeting(told);
    if (text(place) != "node-0:29400" || place.hosts_store != (rank == 0)) {
      throw Refused(ignored,
                    "RANK=" + std::to_string(rank) +
                        " MASTER_ADDR=node-0 MASTER_PORT=29400: meets at " +
                        text(place) +
                        (place.hosts_store ? ", hosts it" : ", does not host it"));
    }
    const Share share = student().share(told);
    if (share.local_batch != 8 || share.share != rank || share.shares != 8) {
      throw Refused(ignored, "RANK=" + std::to_string(rank) + " WORLD_SIZE=8: share " +
                                 std::to_string(share.share) + " of " +
                                 std::to_string(share.shares) + ", local batch " +
                                 std::to_string(share.local_batch) + " of 64");
    }
  }
  told.environment["RANK"] = "0";
  told.environment["TORCHELASTIC_USE_AGENT_STORE"] = "False";
  if (!student().meeting(told).hosts_store) {
    throw Refused({"no_store_at_all",
                   "the agent hosts the store where the variable says True; where it "
                   "says False rank 0 does",
                   "4_many_machines.md#launcher"},
                  "TORCHELASTIC_USE_AGENT_STORE=False: no rank hosts a store");
  }
  told.environment["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  if (!student().meeting(told).hosts_store) return;
  throw Refused(
      {"store_beside_the_agents", "torchrun's agent hosts the store; its port is taken",
       "4_many_machines.md#launcher"},
      "TORCHELASTIC_USE_AGENT_STORE=True: rank 0 hosts a store as well");
}

void check_refusals(uint64_t /*seed*/) {
  const auto refuses = [](const std::string& what, const Told& told) {
    std::string got;
    try {
      const Ranks ranks = student().ranks(told);
      got = "rank " + std::to_string(ranks.rank) + " of " +
            std::to_string(ranks.world_size) + ", card " + std::to_string(ranks.card);
      got += ", meets at " + text(student().meeting(told));
      got += ", local batch " + std::to_string(student().share(told).local_batch);
    } catch (const std::invalid_argument&) {
      return;
    } catch (const std::exception& other) {
      throw Refused({"another_exception",
                     "what cannot be is refused on purpose, by a std::invalid_argument "
                     "that says why, and not by whatever fails first",
                     "4_many_machines.md#contradictions"},
                    what + " ends in another exception: " + other.what());
    }
    throw Refused(
        {"takes_contradictions", "what cannot be is refused at the start, in one line",
         "4_many_machines.md#contradictions"},
        what + " is taken: " + got);
  };
  const Told good = all_ranks({2, 2}, 64)[3];
  Told told = good;
  told.node_rank = 2;
  refuses("node 2 of nodes 0 and 1", told);
  told = good;
  told.local_rank = 2;
  refuses("local rank 2 of a node of 2 cards", told);
  told = good;
  told.global_batch = 63;
  refuses("a global batch of 63 on 4 ranks", told);
  told = good;
  told.master_addr.clear();
  refuses("two nodes and no address to meet at", told);
  told = good;
  told.environment = {{"RANK", "8"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "0"}};
  refuses("RANK=8 of WORLD_SIZE=8", told);
  told.environment.erase("WORLD_SIZE");
  refuses("RANK without WORLD_SIZE", told);
  told.environment = {{"WORLD_SIZE", "8"}, {"LOCAL_RANK", "0"}};
  refuses("WORLD_SIZE without RANK", told);
}

}  // namespace lockstep::labs
