// `grades PAGE FILE...`: one page over the grades of several labs.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "files/output_file.h"
#include "grading/outputs.h"

namespace lockstep::grading {
namespace {

Grade read_grade(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path + "; grade that lab first");
  std::ostringstream text;
  text << in.rdbuf();
  try {
    return grade_from_json(text.str());
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error(path + ": " + error.what() + "; grade that lab again");
  }
}

int page_main(int argc, char** argv) {
  CLI::App app("Makes one page of the grades of several labs.");
  std::string page;
  std::vector<std::string> files;
  std::string docs = "../../../docs";
  app.add_option("PAGE", page, "the page (HTML) to write")->required();
  app.add_option("FILE", files, "a grade, as a grader's --json leaves it")->required();
  app.add_option("--docs", docs, "the chapters, as the page sees them")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    std::vector<Grade> grades;
    for (const std::string& file : files) grades.push_back(read_grade(file));
    for (const Grade& grade : grades) {
      std::printf("lab %d: %2d of %2d points  %s\n", grade.lab, grade.earned(),
                  grade.points(), one_line(grade.title).c_str());
    }
    std::printf("together %s: %s\n", together(grades).c_str(), page.c_str());
    files::write_whole(as_page(grades, docs), page);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "grades: %s\n", error.what());
    return 1;
  }
}

}  // namespace
}  // namespace lockstep::grading

int main(int argc, char** argv) { return lockstep::grading::page_main(argc, argv); }
