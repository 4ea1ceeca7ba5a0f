// Waits until every rank of a job has come to the store, and knows who has not. A rank
// that has come says so again and again while it waits: one that falls silent has died,
// and nobody need wait for the others then.
//
// Not here: who dies later, when the process group is made. That has means of its own.
#pragma once

#include <stdexcept>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "comm/rendezvous.h"

namespace lockstep::comm {

// Nobody meets there any more.
struct NotAllCame : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws NotAllCame, one line and on all ranks the same, naming who did not come in
// time, fell silent, came twice (two processes that were told one rank), or was told
// another world size or other terms than the others. Whoever is of another job than the
// one that meets there, or comes when all have met, is told so alone, by a
// std::runtime_error: nobody else is disturbed.
void await_all(c10d::Store& store, const Meeting& meeting);

}  // namespace lockstep::comm
