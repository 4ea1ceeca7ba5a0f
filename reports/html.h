// HTML that needs nothing else, neither files nor a network: the frame of a page, its
// figures, and text made harmless. A content policy allows the page's own script and no
// other.
//
// Not here: what a page says (page.h, compare_page.h).
#pragma once

#include <string>
#include <vector>

#include "charts/charts.h"

namespace lockstep::reports {

// Text as HTML shows it literally, in elements and in quoted attributes.
std::string escape_html(const std::string& text);

// JSON that can stand inside a script element: it holds no '<', '>' or '&'.
std::string escape_json(const std::string& json);

// What all pages have alike, made by render.py and read from files.
struct Assets {
  std::string css;
  std::string script;         // draws and filters; must hold no "</script"
  std::string script_sha256;  // of exactly that text, base64
};

// `main` is the HTML of everything between the bar on top and the footer.
std::string document(const std::string& title, const std::string& main,
                     const Assets& assets);

// A chart with its title, its still picture (SVG) and its live specification.
std::string figure(const charts::Chart& chart, const std::string& picture);

// What a case can be chosen by. A case without a backend is never left out for it.
struct Filtered {
  std::string model;
  std::string mode;
  std::string backend;
};

// The cases for the page's filters, each in the place that records name by "id".
std::string cases_for_filters(const std::vector<Filtered>& cases);

// A fact of a <dl>; nothing where the value is empty.
std::string fact(const std::string& name, const std::string& value);

// "flat, naive": each value once, empty ones left out.
std::string joined(const std::vector<std::string>& values);

}  // namespace lockstep::reports
