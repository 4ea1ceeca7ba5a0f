#include "membership/watch.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

#include "launch/listener.h"
#include "membership/line_socket.h"
#include "tests/error_of.h"
#include "tests/watched_threads.h"

namespace lockstep::membership {
namespace {

using std::chrono::milliseconds;

// A member that is only its connection.
LineSocket come_as(int index, c10d::Store& store, const std::string& token = "") {
  const auto bytes = store.get("watch");
  std::istringstream words(std::string(bytes.begin(), bytes.end()));
  std::string real, host;
  int port = 0;
  words >> real >> host >> port;
  launch::Fd fd = launch::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  LineSocket member(std::move(fd));
  member.send("hello " + (token.empty() ? real : token) + " " + std::to_string(index) +
              " pid 7 on nodeb");
  return member;
}

TEST(Watch, OfOneHasNobodyToLose) {
  Job job{.count = 1};
  job.run({0}, [](int, WatchPtr& watch) {
    watch->monitored_barrier(kLong);
    EXPECT_EQ(watch->lost(), "");
  });
}

TEST(Watch, WhoHasGoneIsNamedToAllOthersAlike) {
  Job job{.count = 8};
  Words told(8);
  job.run({0, 1, 2, 3, 4, 5, 6, 7}, [&](int index, WatchPtr& watch) {
    watch->at_step(index + 10);
    watch->monitored_barrier(kLong);
    EXPECT_EQ(watch->lost(), "");
    if (index == 5) {
      // Beats tell the step.
      std::this_thread::sleep_for(milliseconds(700));
      watch->ends_badly();
      return;
    }
    told[static_cast<size_t>(index)] = watch->lost(kLong);
    EXPECT_EQ(watch->lost(), told[static_cast<size_t>(index)]);
    pollfd verdict{watch->fd(), POLLIN, 0};
    EXPECT_EQ(poll(&verdict, 1, 0), 1);
  });
  expect_words(told[0], {"rank 5 (pid ", " on ", ") has gone, last step 15"});
  for (const int index : {1, 2, 3, 4, 6, 7}) {
    EXPECT_EQ(told[static_cast<size_t>(index)], told[0]);
  }
}

TEST(Watch, MemberZeroThatHasGoneIsNamedByEach) {
  Job job{.count = 3};
  job.options.kind = "node";
  job.run({0, 1, 2}, [&](int index, WatchPtr& watch) {
    watch->monitored_barrier(kLong);
    if (index == 0) return watch->ends_badly();
    expect_words(watch->lost(kLong), {"node 0 (pid ", ") has gone"});
  });
}

TEST(Watch, WhoLeavesByAnExceptionHasGone) {
  Job job{.count = 2};
  EXPECT_EQ(error_of([&] {
              job.run({0, 1}, [&](int index, WatchPtr& watch) {
                if (index == 0)
                  return expect_words(watch->lost(kLong), {"rank 1 (pid"});
                const WatchPtr unwound = std::move(watch);
                throw std::runtime_error("of its own");
              });
            }),
            "of its own");
}

TEST(Watch, GoodbyesInAnyOrderLoseNobody) {
  // All at once, often: who hangs up last answers to nobody any more.
  for (int i = 0; i < 50; ++i) {
    Job job{.count = 3};
    job.run({0, 1, 2}, [](int, WatchPtr& watch) { watch.reset(); });
  }
  for (int first = 0; first < 3; ++first) {
    Job job{.count = 3};
    std::atomic<int> turn = 0;
    job.run({0, 1, 2}, [&](int index, WatchPtr& watch) {
      const int place = (index - first + 3) % 3;
      while (turn != place) std::this_thread::yield();
      pollfd verdict{watch->fd(), POLLIN, 0};
      EXPECT_EQ(poll(&verdict, 1, 50), 0) << watch->lost();
      watch.reset();
      ++turn;
    });
  }
}

TEST(Watch, WhoIsSilentIsNamedAndToldSo) {
  Job job{.count = 3, .options = impatient()};
  std::thread stopped([&] {
    LineSocket member = come_as(2, *job.store);
    member.send("beat 17");
    // Its end of the line hears of it, when it hears again.
    std::string heard;
    while (heard.find("lost") == std::string::npos && member.connected()) {
      for (const std::string& line : member.receive()) heard += line + "\n";
      std::this_thread::sleep_for(milliseconds(10));
    }
    expect_words(heard, {"welcome pid ", "lost 1 2 0 rank 2 (pid 7 on nodeb)"});
  });
  job.run({0, 1}, [](int, WatchPtr& watch) {
    EXPECT_EQ(
        watch->lost(kLong),
        "rank 2 (pid 7 on nodeb) has not been heard of for 0.6 s (stopped, or its "
        "host cannot be reached), last step 17");
  });
  stopped.join();
}

TEST(Watch, AllOfAHostThatIsSilentAreNamed) {
  Job job{.count = 4};
  job.options.beat = milliseconds(200);
  job.options.looks = 4;
  std::vector<LineSocket> members;
  std::thread host([&] {
    for (const int index : {2, 3}) members.push_back(come_as(index, *job.store));
    // After the first look, and before the second.
    std::this_thread::sleep_for(milliseconds(300));
    members[1].send("beat 4");
  });
  job.run({0, 1}, [](int, WatchPtr& watch) {
    EXPECT_EQ(watch->lost(kLong),
              "rank 2 (pid 7 on nodeb) and rank 3 (pid 7 on nodeb) have not been heard "
              "of for 0.8 s (stopped, or their hosts cannot be reached), last step 4");
  });
  host.join();
}

// A member 0 that only says what the test says; `lines` after its welcome.
std::string told_by_a_silent_zero(const Words& lines, std::string& answered) {
  Job job{.count = 2, .options = impatient()};
  launch::Listener listener;
  job.store->set("watch", "token 127.0.0.1 " + std::to_string(listener.port()));
  LineSocket member;
  std::thread zero([&] {
    member = LineSocket(launch::Fd(accept(listener.fd(), nullptr, nullptr)));
    member.send("welcome pid 1 on nodea");
    for (const std::string& line : lines) member.send(line);
  });
  std::string told;
  job.run({1}, [&](int, WatchPtr& watch) { told = watch->lost(kLong); });
  zero.join();
  for (const std::string& line : member.receive()) answered += line + "\n";
  return told;
}

TEST(Watch, MemberZeroThatIsSilentIsNamedAndToldSo) {
  std::string answered;
  const std::string told = told_by_a_silent_zero({"beat 3"}, answered);
  expect_words(
      told, {"rank 0 (pid 1 on nodea) has not been heard of for 0.6 s", "last step 3"});
  expect_words(answered, {"hello token 1 pid ", "lost 1 0 0 " + told});
}

TEST(Watch, WhoWasGivenUpItselfSaysSo) {
  std::string answered;
  EXPECT_EQ(told_by_a_silent_zero({"lost 1 1 0 rank 1 (pid 8 on b) has not been heard"},
                                  answered),
            "given up by the others: rank 1 (pid 8 on b) has not been heard");
}

TEST(Watch, MemberZeroThatWasGivenUpTellsAll) {
  Job job{.count = 3};
  LineSocket member;
  const std::string verdict = "rank 0 (pid 1 on nodea) has not been heard of";
  std::thread third([&] {
    member = come_as(2, *job.store);
    member.send("lost 1 0 0 " + verdict);
  });
  job.run({0, 1}, [&](int index, WatchPtr& watch) {
    EXPECT_EQ(watch->lost(kLong),
              (index == 0 ? "given up by the others: " : "") + verdict);
  });
  third.join();
}

TEST(Watch, WhoFailsSaysWhyAndTheFirstVerdictStays) {
  for (const int failing : {0, 2}) {
    Job job{.count = 3};
    job.options.kind = "node";
    const std::string expected =
        "node " + std::to_string(failing) + ": its ranks failed three times";
    std::atomic<int> know = 0;
    job.run({0, 1, 2}, [&](int index, WatchPtr& watch) {
      if (index == failing) {
        watch->fail("its ranks failed\nthree times");
        while (know < 2) std::this_thread::yield();
        return;  // and by that has gone
      }
      EXPECT_EQ(watch->lost(kLong), expected);
      ++know;
      std::this_thread::sleep_for(milliseconds(100));
      EXPECT_EQ(watch->lost(), expected);
    });
  }
}

TEST(Watch, WhoHangsHasItsLastWordsSaid) {
  Job job{.count = 2, .options = impatient()};
  std::atomic<int> said = 0;
  job.options.last_words = [&](const std::string& verdict) {
    expect_words(verdict, {"rank 1 (pid 7 on nodeb) has not been heard of"});
    ++said;
  };
  LineSocket member;
  std::thread stopped([&] { member = come_as(1, *job.store); });
  job.run({0}, [&](int, WatchPtr& watch) {
    EXPECT_NE(watch->lost(kLong), "");
    EXPECT_EQ(said, 0) << "it may say it itself";
    while (said == 0) std::this_thread::sleep_for(milliseconds(10));
    EXPECT_GE(Watch::Clock::now(), watch->speaks_at());
  });
  EXPECT_EQ(said, 1);
  stopped.join();
}

TEST(Watch, StrangersAreSentAway) {
  Job job{.count = 2};
  std::vector<LineSocket> strangers;
  std::thread stranger([&] {
    strangers.push_back(come_as(1, *job.store, "guess"));
    strangers.push_back(come_as(2, *job.store));
    // The one who is meant comes after them.
    job.run({1}, [](int, WatchPtr& watch) { watch->monitored_barrier(kLong); });
  });
  job.run({0}, [](int, WatchPtr& watch) { watch->monitored_barrier(kLong); });
  stranger.join();
}

TEST(Watch, WhoDoesNotComeIsNamed) {
  Job job{.count = 4};
  job.options.timeout = milliseconds(500);
  const auto words_of = [&](int index) {
    return error_of([&] { Watch(*job.store, job.of(index)); });
  };
  std::string other;
  std::thread second([&] { other = words_of(1); });
  const std::string expected = "rank 2, 3 of 4 did not come to the watch at 127.0.0.1";
  EXPECT_EQ(words_of(0), expected);
  second.join();
  expect_words(other, {"rank 1", expected});
}

}  // namespace
}  // namespace lockstep::membership
