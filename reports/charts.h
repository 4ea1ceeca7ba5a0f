// Puts the figures of cases into the chart specifications of reports/charts/. A
// specification is a file that says how a chart looks, with an empty data set of its
// own name; everything that is computed is computed here, so a chart shows numbers and
// does not make any.
//
// Not here: drawing (render.py) and the page around the charts (page.h).
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "reports/cases.h"

namespace lockstep::reports {

// The records of each chart's data set.
nlohmann::json throughput_data(const std::vector<Case>& cases);
nlohmann::json memory_data(const std::vector<Case>& cases);
// Of each model and series the case of the most cards.
nlohmann::json timeline_data(const std::vector<Case>& cases);
nlohmann::json phases_data(const std::vector<Case>& cases);
nlohmann::json losses_data(const std::vector<Case>& cases);

// The ledger's categories as charts stack them, from the bottom up.
const std::vector<std::string>& stack_order();

// "Emulated cards: 1 thread each, on Some CPU." or the device's name; one line a kind
// of card.
std::vector<std::string> card_notes(const std::vector<Case>& cases);

// Gives the colour scale of `field`, wherever `spec` declares one, exactly the entries
// `present`, in the specification's order and colours; unknown ones come last, in spare
// colours.
void fit_scale(nlohmann::json& spec, const std::string& field,
               const std::vector<std::string>& present);

struct Chart {
  std::string name;    // "throughput": the file's stem and the data set's name
  std::string spec;    // finished, as JSON text
  bool empty = false;  // nothing was measured for it: then it is not drawn
};

// All charts in page order, from the specifications in `folder`.
// Throws std::runtime_error naming a specification that cannot be read.
std::vector<Chart> make_charts(const std::vector<Case>& cases,
                               const std::filesystem::path& folder);

}  // namespace lockstep::reports
