#include "collectives/figures.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cases/machine.h"

namespace lockstep::collectives {

std::string table_head(const Setting& setting, const Collective& collective,
                       bool beside_memcpy) {
  return "# " + collective.name + ", algorithm " + collective.algorithm + ", backend " +
         setting.backend + ", " + std::to_string(setting.ranks) + " ranks, " +
         std::to_string(setting.rounds.iterations) + " iterations after " +
         std::to_string(setting.rounds.warmup) +
         "\n#   size(B)        count   type  redop     time(us)  algbw(GB/s)  "
         "busbw(GB/s)  #wrong" +
         (beside_memcpy ? "  busbw/memcpy\n" : "\n");
}

std::string table_line(const Figure& figure, const Collective& collective,
                       double memcpy_algbw) {
  char text[160];
  std::snprintf(text, sizeof(text), "%11ld %12ld %6s %6s %12.2f %12.3f %12.3f %7s",
                static_cast<long>(figure.bytes), static_cast<long>(figure.count),
                "float", collective.redop.c_str(), figure.time_us, figure.algbw,
                figure.busbw,
                figure.wrong ? std::to_string(*figure.wrong).c_str() : "N/A");
  std::string line = text;
  if (memcpy_algbw > 0) {
    std::snprintf(text, sizeof(text), " %13.3f", figure.busbw / memcpy_algbw);
    line += text;
  }
  return line + "\n";
}

std::string json_line(const Figure& figure, const Setting& setting,
                      const Collective& collective) {
  static const rows::MachineRow machine = cases::this_machine();
  static const std::string commit = cases::current_commit();
  nlohmann::ordered_json line = {{"schema", 1},
                                 {"date", cases::utc_now()},
                                 {"commit", commit},
                                 {"cpu", machine.cpu},
                                 {"cores", machine.cores},
                                 {"build", machine.build},
                                 {"backend", setting.backend},
                                 {"ranks", setting.ranks},
                                 {"threads_per_card", setting.threads_per_card},
                                 {"collective", collective.name},
                                 {"algorithm", collective.algorithm},
                                 {"warmup", setting.rounds.warmup},
                                 {"iterations", setting.rounds.iterations},
                                 {"bytes", figure.bytes},
                                 {"count", figure.count},
                                 {"type", "float"},
                                 {"redop", collective.redop},
                                 {"time_us", figure.time_us},
                                 {"algbw_gb_per_s", figure.algbw},
                                 {"busbw_gb_per_s", figure.busbw},
                                 {"wrong", nullptr}};
  if (figure.wrong) line["wrong"] = *figure.wrong;
  return line.dump() + "\n";
}

}  // namespace lockstep::collectives
