// A pipe between a test and the processes it starts, close-on-exec at this end: a child
// has it only where Command::inherit_fds names it. For tests alone.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "launch/fd.h"

namespace lockstep::launch {

struct TestPipe {
  Fd read_end, write_end;
  TestPipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read_end = Fd(ends[0]);
    write_end = Fd(ends[1]);
  }
  // Waits for the other side's word; '\0' when nobody is left to give one.
  char next() {
    char letter = 0;
    return read(read_end.get(), &letter, 1) == 1 ? letter : '\0';
  }
};

}  // namespace lockstep::launch
