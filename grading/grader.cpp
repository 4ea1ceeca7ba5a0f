#include "grading/grader.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "files/output_file.h"
#include "grading/outputs.h"
#include "grading/run.h"

namespace lockstep::grading {
namespace {

struct GraderOptions {
  std::string solution;
  std::string compiler;  // a file with what it said
  std::string json;      // files to write
  std::string gradescope;
  std::string page;
  std::string docs = "../../../docs";
  bool points = false;
  bool first_refusal = false;
  int first = -1;  // the child's part
  int fd = -1;
};

void bind(CLI::App& app, GraderOptions& options) {
  app.add_option("SOLUTION", options.solution, "the shared object to grade");
  app.add_option("--does-not-compile", options.compiler,
                 "there is no SOLUTION: this file holds the compiler's errors");
  app.add_option("--json", options.json, "write the grade to this file");
  app.add_option("--gradescope", options.gradescope,
                 "write Gradescope's results.json to this file");
  app.add_option("--page", options.page, "write a page (HTML) to this file");
  app.add_option("--docs", options.docs, "the chapters, as that page sees them")
      ->capture_default_str();
  app.add_flag("--points", options.points,
               "print what the checks bring, grade nothing");
  app.add_flag("--until-refused", options.first_refusal,
               "run no check after the first that does not pass");
  app.add_option(kLookFrom, options.first)->group("");
  app.add_option(kTell, options.fd)->group("");
}

// A line a check, for the points table of docs/ (and nothing that helps to pass it).
void print_points(const Lab& lab) {
  std::printf("%d\t%s\t%d\n", lab.number, lab.title.c_str(), lab.points());
  for (const Check& check : lab.checks) {
    std::printf("%s\t%s\t%d\n", check.id.c_str(), check.asks.c_str(), check.points);
  }
}

// What the compiler refuses: no check ran, whatever the file would have done.
Grade not_compiled(const Lab& lab, const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read the compiler's errors in " + file);
  std::ostringstream said;
  said << in.rdbuf();
  Grade grade;
  grade.lab = lab.number;
  grade.title = lab.title;
  grade.bonus = lab.bonus;
  grade.printed = said.str();
  std::string error = "it does not compile";
  std::istringstream lines(grade.printed);
  for (std::string line; std::getline(lines, line);) {
    if (line.find("error:") == std::string::npos) continue;
    error += ": " + line;
    break;
  }
  for (const Check& check : lab.checks) {
    grade.outcomes.push_back(
        {check.id, check.asks, check.points, Verdict::not_run, error, {}});
  }
  return grade;
}

void write(const Grade& graded, const GraderOptions& options) {
  std::vector<std::function<void()>> outputs;
  const auto add = [&](const std::string& path, auto text) {
    if (path.empty()) return;
    outputs.push_back([path, text] { files::write_whole(text(), path); });
  };
  add(options.json, [&] { return to_json(graded) + "\n"; });
  add(options.gradescope, [&] { return as_gradescope(graded); });
  add(options.page, [&] { return as_page({graded}, options.docs); });
  files::write_all(outputs);
}

}  // namespace

int run_grader(const Lab& lab, int argc, char** argv) {
  CLI::App app("Grades a solution of lab " + std::to_string(lab.number) + ", " +
               lab.title + ".");
  GraderOptions options;
  bind(app, options);
  try {
    app.parse(argc, argv);
    if (options.points) {
      print_points(lab);
      return 0;
    }
    if (options.solution.empty() == options.compiler.empty()) {
      throw CLI::ValidationError("give one SOLUTION, or --does-not-compile FILE");
    }
    std::vector<files::Output> outputs;
    for (const files::Output& output :
         {files::Output{"--json", options.json},
          files::Output{"--gradescope", options.gradescope},
          files::Output{"--page", options.page}}) {
      if (!output.path.empty()) outputs.push_back(output);
    }
    files::check_apart(outputs);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "grader: %s\n", error.what());
    return 2;
  }
  if (options.first >= 0) {
    return look_from(lab, options.solution, static_cast<size_t>(options.first),
                     options.fd);
  }
  try {
    const Until until =
        options.first_refusal ? Until::first_not_passed : Until::last_check;
    const Grade graded = options.compiler.empty()
                             ? grade(lab, "/proc/self/exe", options.solution, until)
                             : not_compiled(lab, options.compiler);
    std::fputs(as_text(graded).c_str(), stdout);
    write(graded, options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "grader: %s\n", error.what());
    return 1;
  }
}

}  // namespace lockstep::grading
