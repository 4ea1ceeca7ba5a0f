// Counts what each rank sends in one all_reduce by collectives/ring.cpp, ranks as
// threads over gloo: `ring_bytes RANKS BYTES` prints the most that any of them sent.
#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "collectives/all_reduce_algorithms.h"
#include "comm/gloo.h"
#include "launch/process.h"
#include "shm/thread_groups.h"

namespace lockstep::cells {
namespace {

class CountingBackend final : public c10d::Backend {
 public:
  explicit CountingBackend(c10::intrusive_ptr<c10d::Backend> backend)
      : Backend(backend->getRank(), backend->getSize()), backend_(std::move(backend)) {}

  const std::string getBackendName() const override { return "counting"; }
  c10::intrusive_ptr<c10d::Work> send(std::vector<at::Tensor>& tensors, int to,
                                      int tag) override {
    sent += static_cast<int64_t>(tensors.at(0).nbytes());
    return backend_->send(tensors, to, tag);
  }
  c10::intrusive_ptr<c10d::Work> recv(std::vector<at::Tensor>& tensors, int from,
                                      int tag) override {
    return backend_->recv(tensors, from, tag);
  }

  int64_t sent = 0;

 private:
  c10::intrusive_ptr<c10d::Backend> backend_;
};

int64_t most_sent(int ranks, int64_t bytes) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::vector<int64_t> sent(static_cast<size_t>(ranks));
  shm::on_threads(ranks, [&](int rank) {
    const auto gloo =
        comm::make_gloo(store, rank, ranks, "127.0.0.1", std::chrono::seconds(30));
    const auto counting = c10::make_intrusive<CountingBackend>(gloo->backend());
    comm::ProcessGroup group(counting);
    collectives::ring_all_reduce(group, at::ones({bytes / 4}, at::kFloat));
    sent[static_cast<size_t>(rank)] = counting->sent;
    gloo->barrier();
  });
  return *std::max_element(sent.begin(), sent.end());
}

}  // namespace
}  // namespace lockstep::cells

int main(int argc, char** argv) {
  lockstep::launch::die_with_parent();
  try {
    const int ranks = argc == 3 ? std::stoi(argv[1]) : 0;
    const int64_t bytes = argc == 3 ? std::stoll(argv[2]) : 0;
    if (ranks < 1 || bytes < 4 || bytes % 4 != 0) throw std::invalid_argument("");
    std::cout << lockstep::cells::most_sent(ranks, bytes) << "\n";
  } catch (const std::logic_error&) {
    std::cerr << "ring_bytes: give ranks and bytes, a multiple of 4\n";
    return 2;
  } catch (const std::exception& error) {
    const std::string what = error.what();  // LibTorch's has a stack below
    std::cerr << "ring_bytes: " << what.substr(0, what.find('\n')) << "\n";
    return 1;
  }
}
