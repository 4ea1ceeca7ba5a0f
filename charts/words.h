// Names and figures as a reader of charts and page sees them: one spelling for all of
// them.
//
// Not here: working figures out (cases.h), and HTML.
#pragma once

#include <cstdint>
#include <string>

#include "charts/cases.h"

namespace lockstep::charts {

inline constexpr double kMiB = 1024.0 * 1024.0;

std::string fixed(double value, int decimals);

// Three figures, which is what a label has room for: "0.52", "4.61", "38.2", "1204".
std::string short_number(double value);

// With so many figures: what a record keeps of a number, so that a page stays small.
double rounded(double value, int figures);

// "62 000": groups of thousands kept apart by a narrow space that does not break.
std::string grouped(double value);

// "2 cards", "1 card".
std::string count_of(int64_t n, const std::string& thing);

// "backend=shm" as "shm", "bucket-cap-mb=25" as "25 MiB".
std::string short_option(const std::string& option);

// "ddp · 2 cards", "ddp shm 25 MiB · 2 cards": options by their values where these
// speak for themselves.
std::string name_of(const Case& each);

// "dp" and its ways as DataParallel, "ddp" as DDP: "DDP (c10d)"; others as they are.
std::string spoken_mode(const std::string& mode);

// "card 0 (primary)", "card 3".
std::string name_of_card(int card);

// "optimizer_state" as "optimizer state".
std::string spaced(std::string name);

}  // namespace lockstep::charts
