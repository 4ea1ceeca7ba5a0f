// Two pictures as the charts of the house are drawn (charts/, reports/): what the cards
// do in a step, a panel a reducer on one axis of time, and the efficiency over cards.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "charts/charts.h"
#include "gantt/timed_step.h"

namespace lockstep::gantt {

// One step of each reducer, all on as many cards; `lanes` of the cards are shown.
charts::Chart step_chart(const std::vector<TimedStep>& steps, int lanes,
                         const std::vector<std::string>& notes);

// Every reducer at every number of cards. The efficiency is T(1)/T(n), where T(1) is
// the reducer's own step on one card.
charts::Chart efficiency_chart(const std::vector<TimedStep>& steps,
                               const std::vector<std::string>& notes);

double efficiency_of(const TimedStep& step, const std::vector<TimedStep>& all);

// NAME.svg and NAME.png of each into the folder. Throws std::runtime_error with a way
// out.
void draw_into(const std::filesystem::path& folder,
               const std::vector<charts::Chart>& charts);

}  // namespace lockstep::gantt
