// Lab 8, solved otherwise: ranks counted by loops.
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

#include "labs/rendezvous.h"
namespace {
using namespace lockstep::labs;

std::optional<std::string> env(const Told& t, const char* n) {
  auto it = t.environment.find(n);
  if (it == t.environment.end()) return std::nullopt;
  return it->second;
}
Ranks ranks(const Told& t) {
  auto r = env(t, "RANK"), w = env(t, "WORLD_SIZE"), l = env(t, "LOCAL_RANK");
  if (r.has_value() != w.has_value())
    throw std::invalid_argument("RANK and WORLD_SIZE come together");
  if (r) {
    Ranks x{std::atoi(r->c_str()), std::atoi(w->c_str()),
            l ? std::atoi(l->c_str()) : 0};
    if (x.rank >= x.world_size) throw std::invalid_argument("RANK " + *r + " of " + *w);
    return x;
  }
  if (t.node_rank < 0 || t.node_rank >= (int)t.gpus.size())
    throw std::invalid_argument("no such node");
  if (t.local_rank < 0 || t.local_rank >= t.gpus[t.node_rank])
    throw std::invalid_argument("no such card");
  Ranks x{t.local_rank, 0, t.local_rank};
  for (int i = 0; i < (int)t.gpus.size(); ++i) {
    if (i < t.node_rank) x.rank += t.gpus[i];
    x.world_size += t.gpus[i];
  }
  return x;
}
Meeting meeting(const Told& t) {
  Meeting m;
  m.host = env(t, "MASTER_ADDR").value_or(t.master_addr);
  m.port = t.master_port;
  if (auto p = env(t, "MASTER_PORT")) m.port = std::stoi(*p);
  if (m.port == 0) m.port = 29500;
  if (m.host == "" && t.gpus.size() == 1) m.host = "127.0.0.1";
  if (m.host == "") throw std::invalid_argument("where?");
  m.hosts_store =
      ranks(t).rank == 0 && env(t, "TORCHELASTIC_USE_AGENT_STORE") != "True";
  return m;
}
Share share(const Told& t) {
  auto [r, w, c] = ranks(t);
  if (t.global_batch % w) throw std::invalid_argument("batch");
  return Share{t.global_batch / w, r, w, !r};
}
const Registered student(rendezvous(), "student", [] {
  return Rendezvous{&ranks, &meeting, &share};
});
}  // namespace
