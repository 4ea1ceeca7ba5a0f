// Counts what each rank sends in one all_reduce by collectives/ring.cpp, ranks as
// threads over gloo: `ring_bytes RANKS BYTES` prints the most that any of them sent.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "collectives/all_reduce_algorithms.h"
#include "comm/gloo.h"

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
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      at::get_num_threads();  // in a new thread a set is undone that no get came before
      at::set_num_threads(1);
      const auto gloo =
          comm::make_gloo(store, rank, ranks, "127.0.0.1", std::chrono::seconds(30));
      const auto counting = c10::make_intrusive<CountingBackend>(gloo->backend());
      comm::ProcessGroup group(counting);
      collectives::ring_all_reduce(group, at::ones({bytes / 4}, at::kFloat));
      sent[static_cast<size_t>(rank)] = counting->sent;
      gloo->barrier();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return *std::max_element(sent.begin(), sent.end());
}

}  // namespace
}  // namespace lockstep::cells

int main(int argc, char** argv) {
  const int ranks = argc == 3 ? std::stoi(argv[1]) : 0;
  const int64_t bytes = argc == 3 ? std::stoll(argv[2]) : 0;
  if (ranks < 1 || bytes < 4 || bytes % 4 != 0) {
    std::cerr << "ring_bytes: give ranks and bytes, a multiple of 4\n";
    return 2;
  }
  std::cout << lockstep::cells::most_sent(ranks, bytes) << "\n";
}
