// Puts the figures of cases into the chart specifications of charts/specs/. A
// specification is a file that says how a chart looks, with an empty data set of its
// own name; everything that is computed is computed here, so a chart shows numbers and
// does not make any.
//
// Not here: drawing (render.py) and the page around the charts (page.h).
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "charts/cases.h"
#include "charts/collectives.h"

namespace lockstep::charts {

// What a record says of its case where each case has one, to which its figures are
// added.
nlohmann::json record_of(const Case& each);

// The records of each chart's data set. Those of a case name it by its "id".
nlohmann::json throughput_data(const std::vector<Case>& cases);
nlohmann::json memory_data(const std::vector<Case>& cases);
// Of each model and series the case of the most cards.
nlohmann::json timeline_data(const std::vector<Case>& cases);
nlohmann::json lanes_data(const std::vector<Case>& cases);
nlohmann::json phases_data(const std::vector<Case>& cases);
nlohmann::json overlap_data(const std::vector<Case>& cases);
nlohmann::json caps_data(const std::vector<Case>& cases);
nlohmann::json predicted_data(const std::vector<Case>& cases);
nlohmann::json losses_data(const std::vector<Case>& cases);

// Cases that differ in their bucket cap alone, smallest cap first; at least two caps.
std::vector<std::vector<const Case*>> cap_curves(const std::vector<Case>& cases);
const Case* best_of(const std::vector<const Case*>& curve);

// What was foretold of a case that was also measured, or null.
const rows::PredictedRow* prediction_of(const Case& each);

// The ledger's categories as charts stack them, from the bottom up.
const std::vector<std::string>& stack_order();

// "Emulated cards: 1 thread each, on Some CPU." or the device's name; one line a kind
// of card.
std::vector<std::string> card_notes(const std::vector<Case>& cases);

// Calls `change` on every object of a specification that encodes `field`.
void for_encodings(nlohmann::json& node, const std::string& field,
                   const std::function<void(nlohmann::json&)>& change);

// Gives the colour scale of `field`, wherever `spec` declares one, exactly the entries
// `present`: those of the specification in its order and colours, then the others, a
// mode's ways in shades of its colour.
void fit_scale(nlohmann::json& spec, const std::string& field,
               const std::vector<std::string>& present);

// A colour of a specification as the page writes it: one that a style sheet can turn.
// "#1f2933" as "var(--c-1f2933,#1f2933)"; what is no colour stays.
std::string themed_colour(const std::string& text);

struct ChartData {
  std::string name;  // the specification's file, and the data set's name in it
  nlohmann::json records;
};

struct Chart {
  std::string name;  // "throughput"
  // Finished specifications, as JSON text: one for a file of its own, with title, and
  // one for the page, without it and with colours that follow the page's.
  std::string spec;
  std::string page_spec;
  std::string title;
  std::vector<std::string> subtitle;
  std::string caption;  // what to look for
  bool empty = false;   // nothing was measured for it: then it is not drawn
};

// What a page of one run shows, in page order.
std::vector<ChartData> run_chart_data(const std::vector<Case>& cases,
                                      const std::vector<CollectiveFigure>& collectives);

// Charts of these records, from the specifications in `folder`. The cases tell a mode's
// colour, the same on the whole page, and what the cards are.
// Throws std::runtime_error naming a specification that cannot be read.
std::vector<Chart> make_charts(const std::vector<ChartData>& data,
                               const std::vector<Case>& cases,
                               const std::filesystem::path& folder);

}  // namespace lockstep::charts
