#include "shm/shared_memory.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <barrier>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "shm/thread_groups.h"

namespace lockstep::shm {
namespace {

using std::chrono::milliseconds;
using MemoryPtr = std::unique_ptr<SharedMemory>;
using StorePtr = c10::intrusive_ptr<c10d::Store>;

constexpr char kKey[] = "lockstep/shared_memory";
constexpr size_t kBoard = 100;
constexpr size_t kToken = 16;

MemoryPtr join(const StorePtr& store, int rank, int world_size,
               milliseconds timeout = kTestTimeout) {
  return std::make_unique<SharedMemory>(*store, rank, world_size, kBoard, timeout);
}

// What a rank reads in the store, and who connects with it.
class Visitor {
 public:
  explicit Visitor(c10d::Store& store)
      : invitation_(store.get(kKey)),
        fd_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    const size_t length = invitation_.size() - kToken;
    std::memcpy(&address, invitation_.data() + kToken, length);
    EXPECT_EQ(address.sun_path[0], '\0') << "it is a file";
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address),
                      static_cast<socklen_t>(length)),
              0)
        << std::strerror(errno);
  }
  ~Visitor() { close(fd_); }

  void say(const std::string& words) const {
    EXPECT_EQ(send(fd_, words.data(), words.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(words.size()));
  }
  std::string token() const {
    return {invitation_.begin(), invitation_.begin() + kToken};
  }

  // Sent away, and given nothing.
  bool is_sent_away() const {
    pollfd event{fd_, POLLIN, 0};
    char byte = 0;
    return poll(&event, 1, 20000) == 1 && recv(fd_, &byte, 1, MSG_DONTWAIT) <= 0;
  }

 private:
  std::vector<uint8_t> invitation_;
  int fd_;
};

std::string rank_bytes(int rank) {
  return {reinterpret_cast<const char*>(&rank), sizeof(rank)};
}

TEST(SharedMemory, EveryRankSeesTheBoardAndAllRegions) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::barrier all(3);
  on_threads(3, [&](int rank) {
    const MemoryPtr memory = join(store, rank, 3);
    const auto* board = static_cast<const std::byte*>(memory->board());
    for (size_t i = 0; i < kBoard; ++i) EXPECT_EQ(board[i], std::byte{0});
    all.arrive_and_wait();
    memory->region(rank)[0] = std::byte(7 + rank);
    memory->region(rank)[memory->region_bytes() - 1] = std::byte(70 + rank);
    all.arrive_and_wait();
    for (int r = 0; r < 3; ++r) {
      EXPECT_EQ(memory->region(r)[0], std::byte(7 + r));
      EXPECT_EQ(memory->region(r)[memory->region_bytes() - 1], std::byte(70 + r));
    }
    EXPECT_EQ(memory->gone(), std::vector<int>{});
    all.arrive_and_wait();
  });
  EXPECT_FALSE(store->check({kKey})) << "another group could not meet";
}

TEST(SharedMemory, TheFirstToGoIsNamedFirst) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::barrier all(4);
  on_threads(4, [&](int rank) {
    MemoryPtr memory = join(store, rank, 4);
    all.arrive_and_wait();
    if (rank == 2) memory.reset();
    all.arrive_and_wait();
    // One looks and leaves because of it, as a rank that failed does.
    if (rank == 0) {
      EXPECT_EQ(memory->gone(), std::vector<int>{2});
      memory->leave();
    }
    all.arrive_and_wait();
    if (rank == 1 || rank == 3) {
      EXPECT_EQ(memory->gone(), (std::vector<int>{2, 0}));
    }
    all.arrive_and_wait();
  });
}

TEST(SharedMemory, StrangersAreSentAwayAndTheRanksMeet) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::barrier met(2);
  on_threads(2, [&](int rank) {
    if (rank == 1) {
      { const Visitor leaves_at_once(*store); }
      const Visitor guesses(*store);
      guesses.say(std::string(kToken, '\0') + rank_bytes(1));
      EXPECT_TRUE(guesses.is_sent_away());
      const Visitor too_short(*store);
      too_short.say(too_short.token());
      EXPECT_TRUE(too_short.is_sent_away());
      for (const int no_rank : {-1, 0, 2}) {
        const Visitor knows_the_token(*store);
        knows_the_token.say(knows_the_token.token() + rank_bytes(no_rank));
        EXPECT_TRUE(knows_the_token.is_sent_away()) << no_rank;
      }
      const Visitor is_silent(*store);
      EXPECT_TRUE(is_silent.is_sent_away());
    }
    const MemoryPtr memory = join(store, rank, 2);
    met.arrive_and_wait();
    EXPECT_EQ(memory->gone(), std::vector<int>{});
    met.arrive_and_wait();
  });
}

TEST(SharedMemory, WhoNeverComesIsNamedToAll) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  on_threads(5, [&](int rank) {
    if (rank == 1 || rank == 3) return;
    try {
      join(store, rank, 5, milliseconds(500));
      ADD_FAILURE() << "met nobody's memory";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(
          error.what(),
          "shared memory: rank 1, 3 did not come in time; are all ranks on this "
          "host?");
    }
  });
}

size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

bool something_is_mapped() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:lockstep ") != std::string::npos) return true;
  }
  return false;
}

TEST(SharedMemory, NothingRemains) {
  on_threads(2, [](int) {});  // whatever threads open once
  const size_t before = open_descriptors();
  for (int round = 0; round < 3; ++round) {
    const auto store = c10::make_intrusive<c10d::HashStore>();
    std::vector<MemoryPtr> memories(4);
    on_threads(4, [&](int rank) {
      memories[static_cast<size_t>(rank)] = join(store, rank, 4);
    });
    EXPECT_TRUE(something_is_mapped());
    // A lifeline to hold and three to listen at, for each.
    EXPECT_EQ(open_descriptors(), before + 4 * 4);
  }
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_FALSE(something_is_mapped());
}

int64_t mapped_bytes() {
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

void join_alone() { join(c10::make_intrusive<c10d::HashStore>(), 0, 1); }

TEST(SharedMemory, NoAddressesRemain) {
  join_alone();  // whatever is mapped once
  const int64_t before = mapped_bytes();
  for (int round = 0; round < 32; ++round) join_alone();
  EXPECT_LT(mapped_bytes() - before, 16 << 20);
}

TEST(SharedMemory, TooFewAddressesAreToldWithAWayOut) {
  rlimit normal{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &normal), 0);
  rlimit tight = normal;
  tight.rlim_cur = static_cast<rlim_t>(mapped_bytes()) + (256 << 20);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  std::string error;
  try {
    join_alone();
  } catch (const std::runtime_error& thrown) {
    error = thrown.what();
  }
  ASSERT_EQ(setrlimit(RLIMIT_AS, &normal), 0);
  EXPECT_TRUE(error.starts_with("shared memory: cannot map ")) << error;
  EXPECT_TRUE(error.ends_with("raise ulimit -v, or try --backend gloo")) << error;
}

}  // namespace
}  // namespace lockstep::shm
