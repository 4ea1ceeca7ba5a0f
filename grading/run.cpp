#include "grading/run.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "launch/process.h"

namespace lockstep::grading {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

// Of an exception's text: LibTorch's have a stack below.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// Of what a solution prints, bytes that are kept of each child: nobody reads more.
constexpr size_t kMostKept = size_t{1} << 16;

std::string kept(const std::string& printed) {
  if (printed.size() <= kMostKept) return printed;
  return printed.substr(0, kMostKept) + "\n(and " +
         std::to_string(printed.size() - kMostKept) + " bytes more)\n";
}

// Lines that the child tells, each within some patience.
class Lines {
 public:
  explicit Lines(int fd) : fd_(fd) {}

  enum class End { none, closed, late, garbled };
  // nullopt: end() says why there is none.
  std::optional<json> next(std::chrono::milliseconds patience) {
    const auto deadline = Clock::now() + patience;
    while (true) {
      const size_t newline = text_.find('\n');
      if (newline != std::string::npos) {
        json line = json::parse(text_.substr(0, newline), nullptr,
                                /*allow_exceptions=*/false);
        text_.erase(0, newline + 1);
        if (line.is_object()) return line;
        end_ = End::garbled;
        return std::nullopt;
      }
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
      pollfd event{fd_, POLLIN, 0};
      if (left.count() <= 0 || poll(&event, 1, static_cast<int>(left.count())) == 0) {
        end_ = End::late;
        return std::nullopt;
      }
      char buffer[4096];
      const ssize_t count = read(fd_, buffer, sizeof buffer);
      if (count <= 0) {
        end_ = End::closed;
        return std::nullopt;
      }
      text_.append(buffer, static_cast<size_t>(count));
    }
  }
  End end() const { return end_; }

 private:
  int fd_;
  std::string text_;
  End end_ = End::none;
};

// One child: from check number `first` to the last, or to the one that ends it. Adds
// the outcomes to the grade; returns the number of the check to go on with.
class Child {
 public:
  Child(const Lab& lab, const std::string& self, const std::string& solution,
        size_t first, Grade& grade)
      : lab_(lab), grade_(grade), next_(first) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe for the checks");
    const launch::Fd read_end(ends[0]);
    launch::Fd write_end(ends[1]);
    launch::Command command;
    command.argv = {self,      solution,
                    kLookFrom, std::to_string(first),
                    kTell,     std::to_string(write_end.get())};
    command.inherit_fds = {write_end.get()};
    command.out = command.err = launch::Output::kCapture;
    command.dies_with_parent = true;
    launch::Process process(command);
    write_end = launch::Fd();
    listen(read_end.get(), process);
    // With it goes what the solution has started.
    kill(-process.pid(), SIGKILL);
    grade_.printed += kept(process.out()) + kept(process.err());
  }
  size_t next() const { return next_; }

 private:
  void listen(int fd, launch::Process& process) {
    Lines lines(fd);
    const std::optional<json> loaded = lines.next(kPatienceToLoad);
    if (!loaded || loaded->contains("error")) {
      const std::string why = loaded ? loaded->at("error").get<std::string>()
                              : lines.end() == Lines::End::late
                                  ? "it hangs while it is loaded"
                                  : "it ends the process while it is loaded";
      while (next_ < lab_.checks.size()) add(Verdict::not_run, why);
      return;
    }
    while (next_ < lab_.checks.size()) {
      const Check& check = lab_.checks[next_];
      const std::optional<json> line = lines.next(check.patience);
      if (!line) {
        if (lines.end() == Lines::End::late) {
          add(Verdict::timed_out, "it does not end within " +
                                      std::to_string(check.patience.count()) + " s");
        } else if (lines.end() == Lines::End::garbled) {
          add(Verdict::crashed,
              "it writes to a file that it did not open, the grader's");
        } else {
          add(Verdict::crashed, "its process " + launch::describe(process.wait()));
        }
        return;
      }
      add(line->at("verdict").get<Verdict>(), line->at("saw").get<std::string>());
      if (!line->contains("id")) continue;
      Misconception& misconception = grade_.outcomes.back().misconception;
      misconception.id = line->at("id").get<std::string>();
      misconception.says = line->at("says").get<std::string>();
      misconception.read = line->at("read").get<std::string>();
    }
  }

  void add(Verdict verdict, const std::string& saw) {
    const Check& check = lab_.checks[next_++];
    grade_.outcomes.push_back(
        {check.id, check.asks, check.points, verdict, saw,
         verdict == Verdict::passed ? Misconception() : check.usual});
  }

  const Lab& lab_;
  Grade& grade_;
  size_t next_;
};

// The loader's words, with names as the file spells them.
std::string readable(const std::string& error) {
  const std::string missing = "undefined symbol: ";
  const size_t found = error.find(missing);
  if (found == std::string::npos) return error;
  const std::string symbol = error.substr(found + missing.size());
  int status = 0;
  char* const spelled = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  const std::string name = status == 0 ? spelled : symbol;
  std::free(spelled);
  return name + " is declared and nowhere defined; or is this another lab's file?";
}

// A check's outcome, as one line.
json look(const Check& check, uint64_t lab_seed) {
  try {
    for (int run = 0; run < check.runs; ++run) {
      check.look(lab_seed + static_cast<uint64_t>(run));
    }
    return {{"verdict", Verdict::passed}, {"saw", ""}};
  } catch (const Refused& refused) {
    const Misconception& misconception = refused.misconception();
    return {{"verdict", Verdict::refused},
            {"saw", first_line(refused.what())},
            {"id", misconception.id},
            {"says", misconception.says},
            {"read", misconception.read}};
  } catch (const std::exception& error) {
    return {{"verdict", Verdict::threw}, {"saw", first_line(error.what())}};
  } catch (...) {
    return {{"verdict", Verdict::threw},
            {"saw", "something that is no std::exception"}};
  }
}

// What was printed before comes out before, even where the next check crashes.
void tell(int fd, const json& line) {
  std::fflush(nullptr);
  const std::string text =
      line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("the grader is gone");
  }
}

// So many checks that hang, and the others are not run: a minute is over.
constexpr std::ptrdiff_t kMostHung = 3;

std::ptrdiff_t hung(const Grade& grade) {
  return std::count_if(
      grade.outcomes.begin(), grade.outcomes.end(),
      [](const Outcome& one) { return one.verdict == Verdict::timed_out; });
}

}  // namespace

Grade grade(const Lab& lab, const std::string& self, const std::string& solution) {
  Grade grade;
  grade.lab = lab.number;
  grade.title = lab.title;
  grade.bonus = lab.bonus;
  size_t next = 0;
  while (next < lab.checks.size()) {
    next = Child(lab, self, solution, next, grade).next();
    if (hung(grade) < kMostHung) continue;
    for (; next < lab.checks.size(); ++next) {
      const Check& check = lab.checks[next];
      grade.outcomes.push_back(
          {check.id,
           check.asks,
           check.points,
           Verdict::not_run,
           std::to_string(kMostHung) + " checks before it hung; mend the first of them",
           {}});
    }
  }
  return grade;
}

int look_from(const Lab& lab, const std::string& solution, size_t first, int fd) {
  launch::die_with_parent();
  // What the solution starts does not get to tell outcomes.
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  setpgid(0, 0);  // a group of its own, with whatever it starts
  if (dlopen(solution.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    tell(fd, {{"error", "it cannot be loaded: " + readable(dlerror())}});
    return 1;
  }
  tell(fd, {{"loaded", true}});
  // The same for every solution and in every run, and in no file that students get.
  constexpr uint64_t kSeed = 0x5eed'1e55'0000;
  for (size_t i = first; i < lab.checks.size(); ++i) {
    tell(fd, look(lab.checks[i],
                  kSeed + 1000 * static_cast<uint64_t>(lab.number) + 10 * i));
  }
  // Threads that the solution has left behind are none of ours.
  _exit(0);
}

}  // namespace lockstep::grading
