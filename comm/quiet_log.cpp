#include "comm/quiet_log.h"

#include <c10/util/Logging.h>

#include <cstdlib>
#include <mutex>

namespace lockstep::comm {
namespace {

struct Quiet {
  std::mutex mutex;
  int scopes = 0;
  int level_before = 0;
};

Quiet& quiet() {
  static Quiet quiet;
  return quiet;
}

}  // namespace

QuietLog::QuietLog() {
  const std::lock_guard lock(quiet().mutex);
  if (quiet().scopes++ > 0) return;
  quiet().level_before = FLAGS_caffe2_log_level;
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  }
}

QuietLog::~QuietLog() {
  const std::lock_guard lock(quiet().mutex);
  if (--quiet().scopes == 0) FLAGS_caffe2_log_level = quiet().level_before;
}

}  // namespace lockstep::comm
