// What goes on inside a host: its ranks' numbers added up and handed out in shared
// memory (shm/), segment by segment. One thread uses it; another may leave.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "comm/process_group.h"
#include "comm/rendezvous.h"
#include "hier/segments.h"
#include "shm/reduce_kernels.h"

namespace lockstep::hier {

class LeavableWatch;

class Inside {
 public:
  // All ranks of this rank's host meet.
  Inside(const c10::intrusive_ptr<c10d::Store>& store, const Placement& placement,
         int rank, std::chrono::milliseconds timeout, std::optional<int> card,
         const comm::PeerWatchPtr& watch);

  // The local rank that a segment is for, or comes from.
  using Local = std::function<int(const Segment&)>;

  // At `to` each segment becomes its reduction over the host's ranks; elsewhere it is
  // scratch.
  void reduce(const at::Tensor& data, const Segments& segments,
              shm::Reduction reduction, const Local& to);
  // Each segment becomes what it is at `from`.
  void broadcast(const at::Tensor& data, const Segments& segments, const Local& from);

  // Shared memory.
  at::Tensor allocate(int64_t elements, const at::TensorOptions& options);

  void leave();

 private:
  using Start = std::function<c10::intrusive_ptr<c10d::Work>(
      std::vector<at::Tensor>& segment, int local)>;
  void each(const at::Tensor& data, const Segments& segments, const Local& local,
            const Start& start);

  std::shared_ptr<LeavableWatch> watch_;
  std::shared_ptr<comm::ProcessGroup> group_;
  std::string ranks_;  // of this host, for errors
};

}  // namespace lockstep::hier
