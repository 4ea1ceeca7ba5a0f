#include "agent/rank_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace lockstep::agent {
namespace {

constexpr std::array<const char*, 2> kFiles = {"/stdout.log", "/stderr.log"};

launch::Fd open_log(const std::string& path) {
  launch::Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (file.get() < 0) {
    throw std::runtime_error("--log-dir: cannot write " + path + ": " +
                             std::strerror(errno) +
                             "; give a folder that can be written");
  }
  return file;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

RankOutput::RankOutput(const Destination& destination)
    : streams_{OneStream(destination.prefix), OneStream(destination.prefix)},
      folder_(destination.folder) {
  for (const Stream stream : {kOut, kErr}) {
    OneStream& one = streams_[stream];
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      throw std::runtime_error(std::string("no pipe for a rank's lines: ") +
                               std::strerror(errno));
    }
    one.read_end = launch::Fd(ends[0]);
    one.write_end = launch::Fd(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    one.to_console = destination.to_console[stream];
    if (!destination.to_file[stream]) continue;
    std::error_code ignored;  // the file says it better
    std::filesystem::create_directories(folder_, ignored);
    one.file = open_log(folder_ + kFiles[stream]);
  }
}

void RankOutput::close_write_ends() {
  for (OneStream& one : streams_) launch::Fd closed = std::move(one.write_end);
}

void RankOutput::add_to(std::vector<pollfd>& events, const Console& console) const {
  for (const Stream stream : {kOut, kErr}) {
    const OneStream& one = streams_[stream];
    if (!one.open || (one.to_console && console.full(stream))) continue;
    events.push_back({one.read_end.get(), POLLIN, 0});
  }
}

void RankOutput::read_some(Console& console) {
  std::array<char, 65536> buffer;
  for (const Stream stream : {kOut, kErr}) {
    OneStream& one = streams_[stream];
    // Not for ever, of one that never stops writing.
    for (int i = 0; i < 16 && one.open && !(one.to_console && console.full(stream));
         ++i) {
      const ssize_t n = read(one.read_end.get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) break;  // nothing there now
      if (n == 0) one.open = false;
      take(stream, {buffer.data(), static_cast<size_t>(n)}, console);
    }
  }
}

void RankOutput::take(Stream stream, std::string_view bytes, Console& console) {
  OneStream& one = streams_[stream];
  const std::string lines = one.open ? one.lines.take(bytes) : one.lines.rest();
  if (one.to_console) console.put(stream, lines);
  if (one.file.get() < 0 || write_all(one.file.get(), bytes)) return;
  // Its rank is worth more than its log.
  trouble_ = "cannot write " + folder_ + kFiles[stream] + ": " + std::strerror(errno);
  launch::Fd closed = std::move(one.file);
}

}  // namespace lockstep::agent
