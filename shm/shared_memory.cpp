#include "shm/shared_memory.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#include "shm/handover.h"

namespace lockstep::shm {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = 2 << 20;
constexpr int kCollapse = 25;  // MADV_COLLAPSE: Linux 6.1, younger than glibc's headers

constexpr size_t round_up(size_t bytes, size_t to) {
  return (bytes + to - 1) / to * to;
}

// Each rank's region, of which it uses what it needs: nothing is there until touched.
// All regions together take at most half of a process's addresses.
size_t as_large_as_the_machine(int world_size) {
  constexpr size_t kAddresses = size_t{1} << 46;
  const size_t machine = std::bit_ceil(static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) *
                                       static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  return std::min(machine,
                  std::bit_floor(kAddresses / static_cast<size_t>(world_size)));
}

}  // namespace

SharedMemory::SharedMemory(c10d::Store& store, int rank, int world_size,
                           size_t board_bytes, std::chrono::milliseconds timeout)
    : board_bytes_(round_up(board_bytes + kPage, kHugePage)),
      region_bytes_(as_large_as_the_machine(world_size)),
      rank_(rank),
      world_size_(world_size),
      lifelines_(static_cast<size_t>(world_size), -1) {
  const auto deadline = Clock::now() + timeout;
  const size_t ranks = lifelines_.size();
  const std::string key = "lockstep/shared_memory";
  sockaddr_un address{};
  socklen_t length = 0;
  Hello hello{{}, rank};
  if (rank == 0) {
    Descriptor memory(memfd_create("lockstep", MFD_CLOEXEC));
    if (memory.get() < 0 ||
        ftruncate(memory.get(),
                  static_cast<off_t>(board_bytes_ + ranks * region_bytes_)) != 0) {
      fail("cannot make it");
    }
    const Descriptor listener = listen_somewhere(address, length);
    if (getrandom(hello.token.data(), hello.token.size(), 0) < 0) fail("no randomness");
    // The address, and the token that proves who read it here.
    std::vector<uint8_t> invitation(hello.token.begin(), hello.token.end());
    const auto* bytes = reinterpret_cast<const uint8_t*>(&address);
    invitation.insert(invitation.end(), bytes, bytes + length);
    store.set(key, invitation);
    const auto peers = await_ranks(listener.get(), hello, world_size, deadline);
    store.deleteKey(key);  // for another group's
    std::vector<Descriptor> listen_ends;
    std::vector<Descriptor> hold_ends;
    for (int r = 0; r < world_size; ++r) {
      int ends[2];
      if (pipe2(ends, O_CLOEXEC) != 0) {
        fail("no pipe for rank " + std::to_string(r), "raise ulimit -n");
      }
      listen_ends.emplace_back(ends[0]);
      hold_ends.emplace_back(ends[1]);
    }
    for (size_t r = 1; r < ranks; ++r) {
      std::vector<int> fds = {memory.get()};
      for (size_t other = 0; other < ranks; ++other) {
        fds.push_back((other == r ? hold_ends : listen_ends)[other].get());
      }
      send_fds(peers[r].get(), fds, r);
    }
    map(memory.get());
    for (size_t r = 0; r < ranks; ++r) {
      lifelines_[r] = (r == 0 ? hold_ends : listen_ends)[r].release();
    }
    return;
  }
  const std::vector<uint8_t> invitation = store.get(key);
  length = static_cast<socklen_t>(invitation.size() - hello.token.size());
  std::copy_n(invitation.begin(), hello.token.size(), hello.token.begin());
  std::memcpy(&address, invitation.data() + hello.token.size(),
              std::min<size_t>(length, sizeof(address)));
  const Descriptor to_first(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (connect(to_first.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      send(to_first.get(), &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello)) {
    fail("cannot reach rank 0; is it on this host?");
  }
  // Rank 0, whose time is up at about the same moment, knows who is missing.
  constexpr std::chrono::seconds kFirstToSpeak{2};
  if (!wait_readable(to_first.get(), deadline + kFirstToSpeak)) {
    throw std::runtime_error("shared memory: rank 0 waits for others, in vain");
  }
  std::vector<int> fds = receive_fds(to_first.get(), 1 + ranks);
  const Descriptor memory(fds.front());
  std::copy(fds.begin() + 1, fds.end(), lifelines_.begin());
  map(memory.get());
}

void SharedMemory::map(int memory) {
  // Where a huge page of the file can be one of the mapping's, too.
  const size_t bytes = board_bytes_ + static_cast<size_t>(world_size_) * region_bytes_;
  void* room = mmap(nullptr, bytes + kHugePage, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) {
    // Of addresses, not of memory: most is never touched.
    fail("cannot map " + std::to_string(bytes >> 30) + " GiB of addresses",
         "raise ulimit -v, or try --backend gloo");
  }
  void* aligned = room;
  size_t space = bytes + kHugePage;
  std::align(kHugePage, bytes, aligned, space);
  void* base = mmap(aligned, bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_NORESERVE | MAP_FIXED, memory, 0);
  if (base == MAP_FAILED) fail("cannot map it");
  base_ = static_cast<std::byte*>(base);
  auto* const begin = static_cast<std::byte*>(room);
  const size_t before = static_cast<size_t>(base_ - begin);
  if (before > 0) munmap(begin, before);
  if (before < kHugePage) munmap(base_ + bytes, kHugePage - before);
}

SharedMemory::~SharedMemory() {
  if (base_ != nullptr) {
    munmap(base_, board_bytes_ + static_cast<size_t>(world_size_) * region_bytes_);
  }
  for (const int fd : lifelines_) {
    if (fd >= 0) close(fd);
  }
}

void SharedMemory::leave() {
  const int held = std::exchange(lifelines_[static_cast<size_t>(rank_)], -1);
  if (held >= 0) close(held);
}

std::byte* SharedMemory::region(int rank) const {
  return base_ + board_bytes_ + static_cast<size_t>(rank) * region_bytes_;
}

std::atomic<int>& SharedMemory::first_gone() const {
  return *reinterpret_cast<std::atomic<int>*>(base_ + board_bytes_ - kPage);
}

std::vector<int> SharedMemory::gone() const {
  std::vector<pollfd> events;
  for (int rank = 0; rank < world_size_; ++rank) {
    // A pipe that nobody holds reports its end without being asked for it.
    events.push_back(
        {rank == rank_ ? -1 : lifelines_[static_cast<size_t>(rank)], 0, 0});
  }
  poll(events.data(), events.size(), 0);
  std::vector<int> ranks;
  for (int rank = 0; rank < world_size_; ++rank) {
    if (events[static_cast<size_t>(rank)].revents != 0) ranks.push_back(rank);
  }
  if (ranks.empty()) return ranks;
  // Noted before this rank can leave, too.
  int noted = 0;
  if (first_gone().compare_exchange_strong(noted, ranks.front() + 1)) return ranks;
  const auto first = std::find(ranks.begin(), ranks.end(), noted - 1);
  if (first != ranks.end()) std::rotate(ranks.begin(), first, first + 1);
  return ranks;
}

namespace {

class RegionSource final : public device::BlockSource {
 public:
  RegionSource(std::shared_ptr<const SharedMemory> memory, int rank)
      : memory_(std::move(memory)), start_(memory_->region(rank)) {}

  void* take(size_t bytes) override {
    if (bytes > memory_->region_bytes() - used_) throw std::bad_alloc();
    back(used_ + bytes);
    return start_ + std::exchange(used_, used_ + bytes);
  }
  bool give(void* /*block*/) noexcept override { return false; }

 private:
  // By huge pages, where the system gives them: a step that reads all of its memory
  // misses a small page's address every 4 KiB (2 % of `mlp-wide`). Files in memory have
  // none by default, but pages that are there may be collapsed into one.
  void back(size_t bytes) {
    if (bytes <= backed_) return;
    const size_t more = round_up(bytes - backed_, kHugePage);
    if (madvise(start_ + backed_, more, MADV_POPULATE_WRITE) == 0) {
      madvise(start_ + backed_, more, kCollapse);
    }
    backed_ += more;
  }

  std::shared_ptr<const SharedMemory> memory_;
  std::byte* start_;
  size_t used_ = 0;
  size_t backed_ = 0;
};

}  // namespace

std::unique_ptr<device::BlockSource> region_source(
    std::shared_ptr<const SharedMemory> memory, int rank) {
  return std::make_unique<RegionSource>(std::move(memory), rank);
}

}  // namespace lockstep::shm
