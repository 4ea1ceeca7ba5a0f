#include "grading/run.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "agent/descendants.h"
#include "grading/listening.h"
#include "launch/process.h"

namespace lockstep::grading {
namespace {

using nlohmann::json;

// Of an exception's text: LibTorch's have a stack below.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

bool last_passed(const Grade& grade) {
  return grade.outcomes.back().verdict == Verdict::passed;
}

// One child: from check number `first` to the last, or to the one that ends it. Adds
// the outcomes to the grade; returns the number of the check to go on with.
class Child {
 public:
  Child(const Lab& lab, const std::string& self, const std::string& solution,
        size_t first, Until until, Grade& grade)
      : lab_(lab), until_(until), grade_(grade), next_(first) {
    Listening listening;
    launch::Command command;
    command.argv = {self,      solution,
                    kLookFrom, std::to_string(first),
                    kTell,     std::to_string(listening.tell_fd())};
    command.inherit_fds = {listening.tell_fd()};
    command.out_fd = command.err_fd = listening.print_fd();
    command.dies_with_parent = true;
    {
      launch::Process process(command);
      listening.child_is(process.pidfd());
      hear(listening, process);
    }
    // What the solution has started does not outlive the checks.
    agent::end_descendants(std::chrono::milliseconds(0));
    grade_.printed += listening.printed();
  }
  size_t next() const { return next_; }

 private:
  void hear(Listening& listening, launch::Process& process) {
    const std::optional<json> loaded = next_line(listening, kPatienceToLoad);
    if (!loaded || loaded->contains("error")) {
      const std::string why = loaded ? loaded->at("error").get<std::string>()
                              : listening.end() == Listening::End::late
                                  ? "it hangs while it is loaded"
                                  : "it ends the process while it is loaded";
      while (next_ < lab_.checks.size()) add(Verdict::not_run, why);
      return;
    }
    while (next_ < lab_.checks.size()) {
      const Check& check = lab_.checks[next_];
      const std::optional<json> line = next_line(listening, check.patience);
      if (!line) {
        if (listening.end() == Listening::End::late) {
          add(Verdict::timed_out, "it does not end within " +
                                      std::to_string(check.patience.count()) + " s");
        } else if (listening.end() == Listening::End::none) {
          add(Verdict::crashed,
              "it writes to a file that it did not open, the grader's");
        } else {
          add(Verdict::crashed, "its process " + launch::describe(process.wait()));
        }
        return;
      }
      add(line->at("verdict").get<Verdict>(), line->at("saw").get<std::string>());
      if (line->contains("id")) {
        Misconception& misconception = grade_.outcomes.back().misconception;
        misconception.id = line->at("id").get<std::string>();
        misconception.says = line->at("says").get<std::string>();
        misconception.read = line->at("read").get<std::string>();
      }
      if (until_ == Until::first_not_passed && !last_passed(grade_)) return;
    }
  }

  // nullopt where listening has not come to an end: the line is none of ours.
  static std::optional<json> next_line(Listening& listening,
                                       std::chrono::milliseconds patience) {
    const std::optional<std::string> line = listening.next(patience);
    if (!line) return std::nullopt;
    json told = json::parse(*line, nullptr, /*allow_exceptions=*/false);
    return told.is_object() ? std::optional<json>(std::move(told)) : std::nullopt;
  }

  void add(Verdict verdict, const std::string& saw) {
    const Check& check = lab_.checks[next_++];
    grade_.outcomes.push_back(
        {check.id, check.asks, check.points, verdict, saw,
         verdict == Verdict::passed ? Misconception() : check.usual});
  }

  const Lab& lab_;
  const Until until_;
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

Grade grade(const Lab& lab, const std::string& self, const std::string& solution,
            Until until) {
  Grade grade;
  grade.lab = lab.number;
  grade.title = lab.title;
  grade.bonus = lab.bonus;
  agent::adopt_orphans();
  size_t next = 0;
  const auto leave_the_rest = [&](const std::string& why) {
    for (; next < lab.checks.size(); ++next) {
      const Check& check = lab.checks[next];
      grade.outcomes.push_back(
          {check.id, check.asks, check.points, Verdict::not_run, why, {}});
    }
  };
  while (next < lab.checks.size()) {
    next = Child(lab, self, solution, next, until, grade).next();
    if (hung(grade) >= kMostHung) {
      leave_the_rest(std::to_string(kMostHung) +
                     " checks before it hung; mend the first of them");
    }
    if (until == Until::first_not_passed && !last_passed(grade)) {
      leave_the_rest("a check before it did not pass");
    }
  }
  return grade;
}

int look_from(const Lab& lab, const std::string& solution, size_t first, int fd) {
  launch::die_with_parent();
  // What the solution starts does not get to tell outcomes.
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  // A name without a slash would be looked for among the system's libraries.
  const std::string file = std::filesystem::absolute(solution).string();
  if (dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
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
