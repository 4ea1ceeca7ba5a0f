// The bound: N single cards that train at once and do not communicate, seen as one job.
// No way of training on N cards can be faster.
#pragma once

#include <vector>

#include "training/report.h"

namespace lockstep::cases {

// Reports of processes that began their first step at the same moment and took equally
// many. A step of the job is a global batch done: it ends when, since the beginning,
// all of them together have taken N more steps, whoever took them. (A median over one
// process's own steps would not do: where there are more processes than cores, most
// steps run between two turns of the others and none of them waits.) Losses and cards
// as of ranks, training::merge; no phases, as the steps are nobody's own.
// `cores`: of this machine. Where the processes are more than these, a turn is
// several short steps and the steps of a job come in clumps: each then stands for the
// mean of its eighth of the run.
TrainReport side_by_side(const std::vector<TrainReport>& processes, int cores);

}  // namespace lockstep::cases
