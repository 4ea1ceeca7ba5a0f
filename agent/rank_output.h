// Where one rank's two streams go: as whole lines with its prefix to this process's
// own, to files as they are, or both, as torchrun's --redirects and --tee have it. Its
// last lines of standard error are kept.
#pragma once

#include <poll.h>

#include <array>
#include <string>
#include <vector>

#include "agent/console.h"
#include "agent/lines.h"
#include "launch/fd.h"

namespace lockstep::agent {

struct Destination {
  std::string prefix;  // "[rank 1 nodeb] "
  std::string folder;  // of stdout.log and stderr.log, which are made or added to
  std::array<bool, 2> to_file{};
  std::array<bool, 2> to_console{true, true};
};

class RankOutput {
 public:
  // Throws std::runtime_error naming a file that cannot be written.
  explicit RankOutput(const Destination& destination);

  // The child's. Close this process's copies once it is started.
  int write_end(Stream stream) const { return streams_[stream].write_end.get(); }
  void close_write_ends();

  // Somebody could still write, or what was written is not read yet.
  bool open() const { return streams_[kOut].open || streams_[kErr].open; }
  // To poll for: the streams that the console has room for.
  void add_to(std::vector<pollfd>& events, const Console& console) const;
  // Reads what is there, as far as there is room, without waiting.
  void read_some(Console& console);

  const std::deque<std::string>& last_errors() const {
    return streams_[kErr].lines.last();
  }
  // A log that could not be written to the end, and why; empty: none.
  const std::string& trouble() const { return trouble_; }

 private:
  struct OneStream {
    explicit OneStream(const std::string& prefix) : lines(prefix) {}
    launch::Fd read_end, write_end, file;
    bool to_console = true;
    bool open = true;
    Lines lines;
  };

  void take(Stream stream, std::string_view bytes, Console& console);

  std::array<OneStream, 2> streams_;
  std::string folder_;
  std::string trouble_;
};

}  // namespace lockstep::agent
