#include "emulation/processors.h"

#include <sched.h>

#include <algorithm>

namespace lockstep::emulation {

std::vector<int> processors() {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (sched_getaffinity(0, sizeof(mine), &mine) != 0) return {};
  std::vector<int> found;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mine)) found.push_back(cpu);
  }
  return found;
}

std::string share_of(int host, int hosts, const std::vector<int>& processors) {
  const int count = static_cast<int>(processors.size());
  if (count == 0 || (count % hosts != 0 && hosts % count != 0)) return "";
  const int each = std::max(1, count / hosts);
  std::string list;
  for (int i = 0; i < each; ++i) {
    const int cpu = processors[static_cast<size_t>((host * each + i) % count)];
    list += (list.empty() ? "" : ",") + std::to_string(cpu);
  }
  return list;
}

}  // namespace lockstep::emulation
