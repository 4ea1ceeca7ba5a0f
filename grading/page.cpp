// The page of grades. It holds no script at all, and its policy allows none.
#include <string>

#include "grading/outputs.h"

namespace lockstep::grading {
namespace {

constexpr char kHead[] = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>Lockstep labs</title>
<style>
:root { color-scheme: light dark; --text: #1c2430; --soft: #5a6472; --page: #fff;
  --card: #f5f6f8; --line: #d9dde3; --good: #1a7f37; --bad: #b3261e; --link: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --soft: #a3adba;
  --page: #14181e; --card: #1d232b; --line: #343c47; --good: #5bc873; --bad: #ff8a80;
  --link: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 56rem; padding: 1rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0.5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; display: flex; gap: 0.5rem;
  justify-content: space-between; border-bottom: 1px solid var(--line); }
a { color: var(--link); }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; padding: 0.25rem 0.5rem; border-bottom: 1px solid var(--line); }
td:last-child, th:last-child { text-align: right; white-space: nowrap; }
ul { list-style: none; margin: 0; padding: 0; }
li { background: var(--card); border-left: 4px solid var(--bad); border-radius: 4px;
  margin: 0.5rem 0; padding: 0.5rem 0.75rem; }
li.passed { border-left-color: var(--good); }
.check { display: flex; flex-wrap: wrap; gap: 0 0.75rem; align-items: baseline; }
h2 > :last-child { white-space: nowrap; }
.check .points { margin-left: auto; white-space: nowrap; }
.verdict { color: var(--bad); font-weight: 600; }
.passed .verdict { color: var(--good); }
p { margin: 0.25rem 0; }
.asks, summary { color: var(--soft); }
pre, code { font: 0.875rem/1.4 ui-monospace, monospace; white-space: pre-wrap; }
</style>
</head>
<body>
<h1>Lockstep labs</h1>
)";

// As HTML shows it literally, in elements and in quoted attributes.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string element(const std::string& name, const std::string& kind,
                    const std::string& text) {
  return "<" + name + " class=\"" + kind + "\">" + escaped(text) + "</" + name + ">";
}

std::string points_words(int earned, int points) {
  return std::to_string(earned) + " of " + std::to_string(points);
}

std::string anchor_of(const Grade& grade) { return "lab-" + std::to_string(grade.lab); }

std::string check_of(const Outcome& outcome, const std::string& docs) {
  const bool passed = outcome.verdict == Verdict::passed;
  std::string html = passed ? "<li class=\"passed\">" : "<li>";
  html += "<div class=\"check\">" +
          element("span", "verdict", to_string(outcome.verdict)) +
          element("code", "id", one_line(outcome.id)) +
          element("span", "points", points_words(outcome.earned(), outcome.points)) +
          "</div>" + element("p", "asks", one_line(outcome.asks));
  if (!passed) {
    if (!outcome.saw.empty()) {
      html += "<p>Saw: <code>" + escaped(one_line(outcome.saw)) + "</code></p>";
    }
    const Misconception& wrong = outcome.misconception;
    if (!wrong.id.empty()) {
      html += "<p>" + element("code", "id", one_line(wrong.id)) + ": " +
              escaped(one_line(wrong.says)) + "</p>";
    }
    if (!wrong.read.empty()) {
      const std::string read = one_line(wrong.read);
      html += "<p>Read <a href=\"" + escaped(docs + "/" + read) + "\">" +
              escaped("docs/" + read) + "</a></p>";
    }
  }
  return html + "</li>\n";
}

std::string section_of(const Grade& grade, const std::string& docs) {
  std::string html =
      "<section id=\"" + anchor_of(grade) + "\">\n<h2><span>" +
      std::to_string(grade.lab) + ". " + escaped(one_line(grade.title)) + "</span>" +
      element("span", "points", points_words(grade.earned(), grade.points())) +
      "</h2>\n<ul>\n";
  for (const Outcome& outcome : grade.outcomes) html += check_of(outcome, docs);
  html += "</ul>\n";
  if (!grade.printed.empty()) {
    constexpr int kMost = 200;
    html += "<details><summary>Printed meanwhile</summary><pre>" +
            escaped(first_lines(grade.printed, kMost)) + "</pre></details>\n";
  }
  return html + "</section>\n";
}

}  // namespace

std::string as_page(const std::vector<Grade>& grades, const std::string& docs) {
  std::string rows;
  std::string sections;
  for (const Grade& grade : grades) {
    rows += "<tr><td><a href=\"#" + anchor_of(grade) + "\">" +
            std::to_string(grade.lab) + ". " + escaped(one_line(grade.title)) +
            "</a></td><td>" + points_words(grade.earned(), grade.points()) +
            "</td></tr>\n";
    sections += section_of(grade, docs);
  }
  return kHead + ("<table>\n<tr><th>Lab</th><th>Points</th></tr>\n" + rows) +
         "<tr><th>Together</th><th>" + together(grades) + "</th></tr>\n</table>\n" +
         sections + "</body>\n</html>\n";
}

}  // namespace lockstep::grading
