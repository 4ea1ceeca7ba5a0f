#include "data_parallel/card_threads.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>

namespace lockstep::data_parallel {
namespace {

using device::Category;
using device::make_cards;

TEST(CardThreadsTest, EachCardWorksInItsScopeOnItsThread) {
  const auto cards = make_cards("cpu", 5, 2);
  CardThreads threads(cards);
  const CardScope scope(cards.front());
  std::vector<std::thread::id> ids(5);
  for (int pass = 0; pass < 3; ++pass) {
    const at::NoGradGuard no_grad;
    std::vector<std::thread::id> now(5);
    threads.run(5, [&](size_t card) {
      now[card] = std::this_thread::get_id();
      EXPECT_EQ(device::current_account().card, static_cast<int>(card));
      EXPECT_EQ(device::current_account().category, Category::activations);
      EXPECT_EQ(at::get_num_threads(), 2);
      EXPECT_FALSE(at::GradMode::is_enabled()) << "the caller's";
    });
    EXPECT_EQ(now[0], std::this_thread::get_id());
    EXPECT_EQ(std::set(now.begin(), now.end()).size(), 5U);
    if (pass > 0) EXPECT_EQ(now, ids) << "the threads stay";
    ids = now;
  }
  EXPECT_EQ(device::current_account().category, Category::other);
}

TEST(CardThreadsTest, AnErrorNamesTheCardOnceTheOthersHaveEnded) {
  CardThreads threads(make_cards("cpu", 4, 1));
  const auto error_of = [&](std::set<size_t> failing, bool torchs) {
    std::atomic<int> ended = 0;
    std::string message = "none";
    try {
      threads.run(4, [&](size_t card) {
        if (failing.count(card) > 0) {
          TORCH_CHECK(!torchs, "no such shape");
          throw std::runtime_error("out of paper");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        ++ended;
      });
    } catch (const c10::Error& error) {
      EXPECT_TRUE(torchs) << "the error's own kind";
      message = error.what_without_backtrace();
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    EXPECT_EQ(ended, 4 - static_cast<int>(failing.size()));
    return message;
  };
  EXPECT_EQ(error_of({2}, false), "replica 2 on cpu card 2: out of paper");
  EXPECT_EQ(error_of({0}, false), "replica 0 on cpu card 0: out of paper");
  EXPECT_EQ(error_of({3, 1}, false), "replica 1 on cpu card 1: out of paper");
  EXPECT_EQ(error_of({3}, true), "replica 3 on cpu card 3: no such shape");
  EXPECT_EQ(error_of({}, false), "none") << "an error does not stay behind";
}

// Longer than a thread looks for work before it sleeps.
TEST(CardThreadsTest, ThreadsThatSleptWork) {
  CardThreads threads(make_cards("cpu", 3, 1));
  std::atomic<int> worked = 0;
  for (int pass = 0; pass < 3; ++pass) {
    threads.run(3, [&](size_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ++worked;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(worked, 9);
}

}  // namespace
}  // namespace lockstep::data_parallel
