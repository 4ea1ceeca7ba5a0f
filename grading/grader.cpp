#include "grading/grader.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "grading/run.h"

namespace lockstep::grading {

int run_grader(const Lab& lab, int argc, char** argv) {
  CLI::App app("Grades a solution of lab " + std::to_string(lab.number) + ", " +
               lab.title + ".");
  std::string solution;
  app.add_option("SOLUTION", solution, "the shared object to grade")->required();
  int first = -1, fd = -1;
  app.add_option(kLookFrom, first)->group("");
  app.add_option(kTell, fd)->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "grader: %s\n", error.what());
    return 2;
  }
  if (first >= 0) return look_from(lab, solution, static_cast<size_t>(first), fd);
  const Grade graded = grade(lab, "/proc/self/exe", solution);
  for (const Outcome& outcome : graded.outcomes) {
    std::printf("%-9s %2d of %2d  %-20s %s\n", to_string(outcome.verdict),
                outcome.earned(), outcome.points, outcome.id.c_str(),
                outcome.saw.c_str());
    if (outcome.verdict == Verdict::passed) continue;
    std::printf("          %s: %s; read %s\n", outcome.misconception.id.c_str(),
                outcome.misconception.says.c_str(), outcome.misconception.read.c_str());
  }
  std::printf("lab %d, %s: %d of %d points\n", graded.lab, graded.title.c_str(),
              graded.earned(), graded.points());
  return 0;
}

}  // namespace lockstep::grading
