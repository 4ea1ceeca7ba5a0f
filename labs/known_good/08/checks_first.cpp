// Lab 8, solved otherwise: every contradiction looked for before any sum.
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "labs/rendezvous.h"
namespace {
using namespace lockstep::labs;

void check(const Told& t) {
  bool r = t.environment.contains("RANK"), w = t.environment.contains("WORLD_SIZE");
  if (r ^ w) throw std::invalid_argument("one of two");
  if (!r) {
    if (t.node_rank >= int(t.gpus.size())) throw std::invalid_argument("node");
    if (t.local_rank >= t.gpus.at(t.node_rank)) throw std::invalid_argument("card");
  } else if (std::stoi(t.environment.at("RANK")) >=
             std::stoi(t.environment.at("WORLD_SIZE")))
    throw std::invalid_argument("rank");
  if (t.gpus.size() > 1 && t.master_addr.empty() &&
      !t.environment.contains("MASTER_ADDR"))
    throw std::invalid_argument("address");
}
Ranks ranks(const Told& t) {
  check(t);
  if (t.environment.contains("RANK"))
    return {std::stoi(t.environment.at("RANK")),
            std::stoi(t.environment.at("WORLD_SIZE")),
            std::stoi(t.environment.at("LOCAL_RANK"))};
  int all = 0, mine = 0;
  for (size_t n = 0; n < t.gpus.size(); n++)
    for (int c = 0; c < t.gpus[n]; c++, all++)
      if ((int)n == t.node_rank && c == t.local_rank) mine = all;
  return {mine, all, t.local_rank};
}
Meeting meeting(const Told& t) {
  check(t);
  auto e = t.environment;
  e.insert({"MASTER_ADDR", t.master_addr.empty() ? "127.0.0.1" : t.master_addr});
  e.insert({"MASTER_PORT", std::to_string(t.master_port ? t.master_port : 29500)});
  return {e["MASTER_ADDR"], std::stoi(e["MASTER_PORT"]),
          e["TORCHELASTIC_USE_AGENT_STORE"] == "True" ? false : ranks(t).rank == 0};
}
Share share(const Told& t) {
  check(t);
  auto me = ranks(t);
  if (t.global_batch / me.world_size * me.world_size != t.global_batch)
    throw std::invalid_argument("batch");
  return {t.global_batch / me.world_size, me.rank, me.world_size, me.rank == 0};
}
const Registered student(rendezvous(), "student", [] {
  return Rendezvous{&ranks, &meeting, &share};
});
}  // namespace
