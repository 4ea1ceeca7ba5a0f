// Linked into every program and test, except under the sanitizers (cmake/Room.cmake).
//
// Note [No dismantling]
// At a process's end LibTorch takes its thousands of operators out of their table
// again, one by one, which no one will look at: 0.12 s of 0.35 s that a program needs
// at least. The kernel takes all back at once. What was registered later than this
// (statics that a function holds) still ends in good order, and what was printed is
// written.
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

namespace {

// The executable's own statics are made after the libraries', so that this is called
// before theirs are taken apart.
[[maybe_unused]] const int registered = on_exit(
    [](int status, void*) {
      std::cout.flush();
      std::fflush(nullptr);
      _exit(status);
    },
    nullptr);

}  // namespace
