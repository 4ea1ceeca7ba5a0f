#include <algorithm>
#include <cstdio>
#include <map>

#include "summary/table.h"

namespace lockstep::summary {

using rows::Row;

namespace {

struct Highest {
  int64_t allocated = 0;
  int64_t reserved = 0;
  int64_t process = 0;
};

int64_t bytes_of(const rows::CardRow& card, const std::string& kind) {
  const auto found = card.allocator_peak_bytes.find(kind);
  return found == card.allocator_peak_bytes.end() ? 0 : found->second;
}

double mib(int64_t bytes) { return static_cast<double>(bytes) / (1024.0 * 1024.0); }

}  // namespace

std::string driver_memory_table(const std::vector<Row>& rows) {
  std::vector<std::string> names;  // as they come
  std::map<std::string, std::map<int, Highest>> cards_of;
  for (const Row& row : rows) {
    for (const rows::CardRow& card : row.memory) {
      if (row.status != "ok" || !card.process_bytes) continue;
      if (cards_of.count(row.name) == 0) names.push_back(row.name);
      Highest& highest = cards_of[row.name][card.card];
      highest.allocated = std::max(highest.allocated, bytes_of(card, "allocated"));
      highest.reserved = std::max(highest.reserved, bytes_of(card, "reserved"));
      highest.process = std::max(highest.process, *card.process_bytes);
    }
  }
  std::string text;
  for (const std::string& name : names) {
    for (const auto& [card, highest] : cards_of[name]) {
      char line[200];
      std::snprintf(line, sizeof(line), "%-46s %4d %13.2f %12.2f %11.2f\n",
                    name.c_str(), card, mib(highest.allocated), mib(highest.reserved),
                    mib(highest.process));
      text += line;
    }
  }
  if (text.empty()) return text;
  return "memory of a card" + std::string(31, ' ') +
         "card allocated MiB reserved MiB process MiB\n" + text;
}

}  // namespace lockstep::summary
