// What shared memory promises beyond every backend (process_group_test.cpp): ranks are
// threads here.
#include "shm/shm.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <barrier>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "device/ledger_allocator.h"
#include "device/memory_ledger.h"
#include "shm/thread_groups.h"

namespace lockstep::shm {
namespace {

using std::chrono::milliseconds;

void on_shm_ranks(int world_size, const std::function<void(GroupPtr&)>& work) {
  on_ranks(world_size, work, "shm");
}

// What a rank is told, in one line; empty: nothing went wrong.
std::string complaint(const std::function<void()>& work) {
  try {
    work();
  } catch (const comm::CommError& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "";
}

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(text.find(word), std::string::npos)
        << "no \"" << word << "\" in: " << text;
  }
}

bool is_sum_of(const at::Tensor& tensor, double expected) {
  return tensor.eq(expected).all().item<bool>();
}

// 1 + 2 + ... ranks.
double sum_of_ranks(int ranks) { return ranks * (ranks + 1) / 2.0; }

at::Tensor full(const GroupPtr& group, int64_t elements) {
  return torch::full({elements}, group->rank() + 1.0);
}

// Whether a mapping of nameless shared memory holds it.
bool lies_in_shared_memory(const at::Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("/memfd:lockstep ") == std::string::npos) continue;
    std::istringstream range(line);
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    range >> std::hex >> begin >> dash >> end;
    if (address >= begin && address < end) return true;
  }
  return false;
}

TEST(Shm, RanksThatDisagreeAreAllToldWhoAndHow) {
  on_shm_ranks(3, [](GroupPtr& group) {
    const int64_t elements = group->rank() == 1 ? 11 : 10;
    const std::string message =
        complaint([&] { group->all_reduce(torch::ones({elements})).wait(); });
    expect_words(message, {"rank 1 comes with all_reduce of 11 Float",
                           "rank 0 comes with all_reduce of 10 Float"});
  });
  on_shm_ranks(3, [](GroupPtr& group) {
    const at::Tensor tensor = torch::ones({10});
    const std::string message = complaint([&] {
      if (group->rank() == 2) {
        group->broadcast({tensor});
      } else {
        group->all_reduce(tensor).wait();
      }
    });
    expect_words(message, {"rank 2 comes with broadcast of 10 Float",
                           "rank 0 comes with all_reduce of 10 Float"});
  });
  on_shm_ranks(2, [](GroupPtr& group) {
    const auto type = group->rank() == 0 ? at::kDouble : at::kLong;
    const std::string message =
        complaint([&] { group->all_reduce(torch::ones({10}, type)).wait(); });
    expect_words(message, {"rank 1 comes with all_reduce of 10 Long",
                           "rank 0 comes with all_reduce of 10 Double"});
  });
}

TEST(Shm, ARankThatLeftIsNamed) {
  on_shm_ranks(4, [](GroupPtr& group) {
    const int rank = group->rank();
    group->barrier();
    if (rank == 2) group.reset();
    if (!group) return;
    const std::string message =
        complaint([&] { group->all_reduce(torch::ones({10})).wait(); });
    expect_words(message, {"rank 2 has gone"});
    // The others leave one after the other, and still it was rank 2.
    std::this_thread::sleep_for(milliseconds(rank * 100));
  });
}

TEST(Shm, ARankThatLeavesWithSomethingUnderWayIsNamed) {
  std::barrier over(2);
  on_shm_ranks(2, [&](GroupPtr& group) {
    const at::Tensor tensor = torch::ones({10});
    if (group->rank() == 0) {
      comm::Work never_waited_for = group->all_reduce(tensor);
      group.reset();
      expect_words(complaint([&] { never_waited_for.wait(); }), {"the group was left"});
    } else {
      group->all_reduce(tensor).wait();  // rank 0 had come to it
      const std::string message = complaint([&] { group->all_reduce(tensor).wait(); });
      expect_words(message, {"rank 0 has gone"});
    }
    over.arrive_and_wait();  // gone is not dead
  });
}

TEST(Shm, WhoDoesNotComeInTimeIsNamed) {
  const auto store = c10::make_intrusive<c10d::HashStore>();
  std::barrier over(3);
  on_threads(3, [&](int rank) {
    const GroupPtr group = make_shm(store, rank, 3, milliseconds(1000));
    group->barrier();
    std::string message;
    if (rank != 1) {
      message = complaint([&] { group->all_reduce(torch::ones({10})).wait(); });
    }
    over.arrive_and_wait();  // alive all the time, as a process that was stopped
    if (rank != 1) {
      expect_words(message, {"all_reduce of 10 Float", "nothing for 1", "rank 1"});
    }
  });
}

TEST(Shm, MoreMayBeUnderWayThanTheBoardHasPlaces) {
  on_shm_ranks(3, [](GroupPtr& group) {
    std::vector<at::Tensor> tensors;
    std::vector<comm::Work> works;
    for (int64_t i = 0; i < 300; ++i) {
      tensors.push_back(full(group, 1 + 97 * i).mul_(i));
      works.push_back(group->all_reduce(tensors.back()));
    }
    for (int64_t i = 299; i >= 0; --i) {
      works[static_cast<size_t>(i)].wait();
      EXPECT_TRUE(is_sum_of(tensors[static_cast<size_t>(i)],
                            sum_of_ranks(3) * static_cast<double>(i)))
          << i;
    }
  });
}

TEST(Shm, WorksMayBeDroppedWithoutAWait) {
  on_shm_ranks(3, [](GroupPtr& group) {
    for (int round = 0; round < 100; ++round) {
      group->all_reduce(full(group, 10000));  // neither work nor tensor is kept
    }
    const at::Tensor kept = full(group, 10000);
    group->all_reduce(kept);
    group->barrier();  // of later, so the one before is done
    EXPECT_TRUE(is_sum_of(kept, sum_of_ranks(3)));
  });
  // A rank may leave with something under way.
  on_shm_ranks(2, [](GroupPtr& group) {
    group->all_reduce(full(group, 10));
    group.reset();
  });
}

TEST(Shm, AnyNumberOfTensorsMakeOneMean) {
  for (const size_t count : {1, 31, 33, 70, 3000}) {
    on_shm_ranks(2, [&](GroupPtr& group) {
      std::vector<at::Tensor> tensors;
      for (size_t i = 0; i < count; ++i) {
        // Some lie in the shared memory, some do not, differently on each rank.
        const auto elements = static_cast<int64_t>(i % 7);
        const bool shared = (i + static_cast<size_t>(group->rank())) % 3 == 0;
        tensors.push_back(shared ? group->allocate(elements, torch::kFloat)
                                 : torch::empty({elements}));
        tensors.back().fill_(2.0 * group->rank() + static_cast<double>(i));
        EXPECT_EQ(lies_in_shared_memory(tensors.back()), shared && elements > 0) << i;
      }
      group->all_reduce_mean(tensors).wait();
      for (size_t i = 0; i < count; ++i) {
        EXPECT_TRUE(is_sum_of(tensors[i], 1.0 + static_cast<double>(i))) << i;
      }
    });
  }
}

TEST(Shm, TensorsOutliveTheGroup) {
  std::vector<at::Tensor> left(3);
  on_shm_ranks(3, [&](GroupPtr& group) {
    const at::Tensor tensor = group->allocate(100000, torch::kFloat);
    tensor.fill_(group->rank() + 1);
    group->all_reduce(tensor).wait();
    left[static_cast<size_t>(group->rank())] = tensor;
    group.reset();
    tensor.add_(1);
  });
  for (const at::Tensor& tensor : left) {
    EXPECT_TRUE(is_sum_of(tensor, sum_of_ranks(3) + 1));
  }
}

TEST(Shm, TakesWhatIsDenseInAnyOrder) {
  on_shm_ranks(2, [](GroupPtr& group) {
    const at::Tensor counted = torch::arange(35.0).view({5, 7});
    const at::Tensor turned = counted.clone().t();
    group->all_reduce(turned).wait();
    EXPECT_TRUE(turned.equal(counted.t() * 2));
    const at::Tensor image = torch::arange(90.0)
                                 .view({2, 3, 5, 3})
                                 .contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor before = image.clone();
    group->all_reduce(image).wait();
    EXPECT_TRUE(image.equal(before * 2));
    const std::string message =
        complaint([&] { group->all_reduce(counted.narrow(1, 0, 3)).wait(); });
    expect_words(message, {"dense", "[7, 1]", "[5, 3]", "contiguous()"});
    group->barrier();  // nobody was made to wait
  });
}

TEST(Shm, WhatItHandsOutIsChargedToItsCard) {
  on_shm_ranks(2, [](GroupPtr& group) {
    const int card = 40 + group->rank();
    {
      const device::AccountScope scope({card, device::Category::buckets});
      const at::Tensor tensor = group->allocate(1000, torch::kDouble);
      const device::CardBytes bytes = device::card_bytes(card);
      EXPECT_EQ(bytes.live, 8000);
      EXPECT_EQ(bytes.live_by_category[static_cast<size_t>(device::Category::buckets)],
                8000);
    }
    EXPECT_EQ(device::card_bytes(card).live, 0);
    EXPECT_EQ(device::card_bytes(card).peak, 8000);
  });
}

TEST(Shm, ACardsMemoryIsTheGroupsForAsLongAsItLives) {
  device::install_ledger();
  const auto store = c10::make_intrusive<c10d::HashStore>();
  on_threads(2, [&](int rank) {
    const device::AccountScope scope({rank, device::Category::other});
    const at::Tensor before = torch::ones({5000});
    EXPECT_FALSE(lies_in_shared_memory(before));
    at::Tensor kept;
    {
      const GroupPtr group = make_shm(store, rank, 2, kTestTimeout, rank);
      kept = torch::ones({5000});
      EXPECT_TRUE(lies_in_shared_memory(kept));
      const void* where = kept.const_data_ptr();
      group->all_reduce_mean({kept, before}).wait();
      EXPECT_EQ(kept.const_data_ptr(), where);
      group->barrier();
    }
    const at::Tensor after = torch::ones({5000});
    EXPECT_FALSE(lies_in_shared_memory(after));
    EXPECT_TRUE(lies_in_shared_memory(kept));
    EXPECT_TRUE(is_sum_of(kept, 1.0));
  });
}

}  // namespace
}  // namespace lockstep::shm
