// Memory that all ranks of one host see, and a way to know who of them still lives.
//
// One nameless file (memfd) holds a board for everybody and a region for each rank;
// every rank maps all of it. Rank 0 makes it and hands it over a local socket, so
// nothing has a name, and nothing is left by any kind of death. With it come the
// lifelines: rank r holds one end of a pipe, the others the other, which tells them
// when r is gone.
//
// The socket's address is abstract: it is no file, is seen on this host's network
// alone, and goes when the last rank has come. Only the same user's ranks that know the
// store's token are let in.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "device/block_cache.h"

namespace lockstep::shm {

class SharedMemory {
 public:
  // All ranks meet; collective. Throws std::runtime_error naming who did not come in
  // time.
  SharedMemory(c10d::Store& store, int rank, int world_size, size_t board_bytes,
               std::chrono::milliseconds timeout);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  void* board() const { return base_; }  // zeroed at first
  std::byte* region(int rank) const;
  size_t region_bytes() const { return region_bytes_; }

  // The ranks that have gone, by leave() or by death; the one that whoever looked first
  // found gone comes first. The others may have left because of that one.
  std::vector<int> gone() const;
  // The others see this rank as gone from here on; the memory stays mapped.
  void leave();

 private:
  void map(int memory);

  std::atomic<int>& first_gone() const;  // a rank + 1; 0: nobody

  size_t board_bytes_;  // with the page that holds first_gone() behind it
  size_t region_bytes_;
  int rank_;
  int world_size_;
  std::byte* base_ = nullptr;
  std::vector<int> lifelines_;  // [rank]: theirs to listen at; [rank_]: ours to hold
};

// This rank's region as a source of blocks, which keeps the memory mapped.
std::unique_ptr<device::BlockSource> region_source(
    std::shared_ptr<const SharedMemory> memory, int rank);

}  // namespace lockstep::shm
