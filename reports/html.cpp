#include "reports/html.h"

#include <nlohmann/json.hpp>
#include <set>

namespace lockstep::reports {
namespace {

using Replacement = std::pair<char, const char*>;

std::string replaced(const std::string& text, const std::vector<Replacement>& with) {
  std::string result;
  for (const char c : text) {
    const char* words = nullptr;
    for (const auto& [from, to] : with) {
      if (from == c) words = to;
    }
    if (words == nullptr) {
      result += c;
    } else {
      result += words;
    }
  }
  return result;
}

std::string content_policy(const Assets& assets) {
  return "default-src 'none'; script-src 'sha256-" + assets.script_sha256 +
         "'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
         "form-action 'none'";
}

std::string button(const std::string& kind, const std::string& shown,
                   const std::string& chart) {
  return "<button type=\"button\" data-save=\"" + kind + "\" aria-label=\"" +
         escape_html(chart) + ": save as " + shown + "\">" + shown + "</button>";
}

}  // namespace

std::string escape_html(const std::string& text) {
  return replaced(
      text,
      {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}});
}

std::string escape_json(const std::string& json) {
  // Outside of its strings JSON has none of these, so each can be written as an escape.
  return replaced(json, {{'<', "\\u003c"}, {'>', "\\u003e"}, {'&', "\\u0026"}});
}

std::string document(const std::string& title, const std::string& main,
                     const Assets& assets) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
         content_policy(assets) +
         "\">\n<meta name=\"viewport\" content=\"width=device-width, "
         "initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n"
         "<link rel=\"icon\" href=\"data:,\">\n<title>" +
         escape_html(title) + "</title>\n<style>\n" + assets.css +
         "</style>\n</head>\n<body>\n"
         "<div class=\"bar\" hidden><details id=\"filters\"><summary>Filter"
         "</summary><form></form></details><button type=\"button\" id=\"theme\">"
         "Dark</button></div>\n<main>\n" +
         main + "</main>\n<script>" + assets.script + "</script>\n</body>\n</html>\n";
}

std::string figure(const charts::Chart& chart, const std::string& picture) {
  const std::string id = "title-" + chart.name;
  std::string about;
  for (const std::string& line : chart.subtitle) {
    about += (about.empty() ? "" : " ") + escape_html(line);
  }
  return "<figure data-chart=\"" + chart.name + "\" aria-labelledby=\"" + id +
         "\">\n<figcaption>\n<h2 id=\"" + id + "\">" + escape_html(chart.title) +
         "</h2>\n<p>" + escape_html(chart.caption) + "</p>\n<p class=\"small\">" +
         about + "</p>\n</figcaption>\n<div class=\"scroll\"><div class=\"still\">" +
         picture + "</div></div>\n<div class=\"tools\" hidden>" +
         button("csv", "CSV", chart.title) + button("json", "JSON", chart.title) +
         button("svg", "SVG", chart.title) +
         "<details><summary>Table</summary></details></div>\n"
         "<script type=\"application/json\">" +
         escape_json(chart.page_spec) + "</script>\n</figure>\n";
}

std::string cases_for_filters(const std::vector<Filtered>& cases) {
  nlohmann::json entries = nlohmann::json::array();
  for (const Filtered& each : cases) {
    entries.push_back(
        {{"model", each.model}, {"mode", each.mode}, {"backend", each.backend}});
  }
  const std::string text = entries.dump(-1, ' ', /*ensure_ascii=*/false,
                                        nlohmann::json::error_handler_t::replace);
  return "<script type=\"application/json\" id=\"cases\">" + escape_json(text) +
         "</script>\n";
}

std::string fact(const std::string& name, const std::string& value) {
  if (value.empty()) return "";
  return "<div><dt>" + name + "</dt><dd>" + escape_html(value) + "</dd></div>\n";
}

std::string joined(const std::vector<std::string>& values) {
  const std::set<std::string> once(values.begin(), values.end());
  std::string text;
  for (const std::string& value : once) {
    if (value.empty()) continue;
    text += (text.empty() ? "" : ", ") + value;
  }
  return text;
}

}  // namespace lockstep::reports
