// All-reduce out of messages between two ranks: what a backend's own all_reduce does
// inside, to be read and compared (`bench collectives --algorithm`). One file each.
//
// Sums in place; every rank calls with a contiguous tensor of the same type and size.
// Any number of ranks, any size. Training does not use them: the backends' are faster.
//
// Note [What an all-reduce costs]
// n ranks, S bytes; a message costs alpha to start and beta a byte, a sum gamma a byte.
// The last rank's time, where messages of different ranks do not slow each other:
//   ring              2(n-1) alpha      + 2(n-1)/n S beta  + (n-1)/n S gamma
//   tree              2 ceil(log2 n)       (alpha + S beta) + ceil(log2 n) S gamma
//   halving-doubling  2 log2(n) alpha   + 2(n-1)/n S beta  + (n-1)/n S gamma
//                     and for an n that is no power of two 2 alpha + 2 S beta + S gamma
// No way sends fewer than 2(n-1)/n S bytes (Patarasuk & Yuan 2009): the ring is for
// large tensors, the tree for small ones, halving-doubling for both, if n allows.
#pragma once

#include <ATen/core/Tensor.h>

#include "comm/process_group.h"

namespace lockstep::collectives {

// Pieces go round, each rank adding its own, and then round again as they are.
// Patarasuk & Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
// workstations", JPDC 2009; brought to training by Baidu, 2017.
void ring_all_reduce(comm::ProcessGroup& group, const at::Tensor& tensor);

// To rank 0 along a binomial tree, and back the same way.
// Thakur, Rabenseifner & Gropp, "Optimization of collective communication operations in
// MPICH", IJHPCA 2005.
void tree_all_reduce(comm::ProcessGroup& group, const at::Tensor& tensor);

// Partners exchange halves, then halves of those, until each rank has one summed piece;
// and back. Rabenseifner, "Optimization of collective reduction operations", ICCS 2004.
void halving_doubling_all_reduce(comm::ProcessGroup& group, const at::Tensor& tensor);

}  // namespace lockstep::collectives
