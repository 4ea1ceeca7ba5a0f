// What goes from host to host: segments of a lane, as messages over gloo. Each host's
// sum of a segment goes to the segment's home once, and the whole sum from there to
// each other host once: 2 (hosts-1)/hosts of the bytes, out of each host and into it,
// however many ranks a host has. Fewer cannot be: what is added up on one host is known
// to another by its bytes alone.
//
// Several threads use it: that which waits here, that which leaves, and the user's own,
// whose messages go beside these.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <mutex>
#include <vector>

#include "hier/segments.h"
#include "shm/reduce_kernels.h"

namespace c10d {
class Backend;
class Work;
}  // namespace c10d

namespace lockstep::hier {

class Between {
 public:
  // `messages`: of all ranks of the job.
  Between(c10::intrusive_ptr<c10d::Backend> messages, const Placement& placement,
          int rank);

  // Those of the segments that are at home here become the sum over hosts, in the order
  // of hosts. `divisor` over 1: the sum's part.
  void reduce(const at::Tensor& data, const Segments& segments,
              shm::Reduction reduction, int64_t divisor);
  // Every segment becomes what it is at home.
  void gather(const at::Tensor& data, const Segments& segments);

  // A message of the group's user, beside these.
  c10::intrusive_ptr<c10d::Work> send(std::vector<at::Tensor>& tensors, int to,
                                      int tag);
  c10::intrusive_ptr<c10d::Work> recv(std::vector<at::Tensor>& tensors, int from,
                                      int tag);

  // Whoever waits, or comes to wait, is told by a std::runtime_error.
  void leave();

 private:
  Segments of_my_lane(const Segments& segments) const;
  int peer(int host) const;
  void send_to(const at::Tensor& data, int host);
  void receive_from(const at::Tensor& data, int host);
  void start(bool sends, const at::Tensor& data, int host);
  void wait_for_all();

  c10::intrusive_ptr<c10d::Backend> messages_;
  Placement placement_;
  int host_, local_;
  std::mutex mutex_;
  bool left_ = false;
  std::vector<c10::intrusive_ptr<c10d::Work>> under_way_;
};

}  // namespace lockstep::hier
