// The one line of a program, or of a rank, that goes wrong: who says it, and when.
#pragma once

#include <functional>
#include <string>

#include "launch/world.h"

namespace lockstep::program {

// Calls `body`, which gives an exit status. Whatever it throws becomes one line on
// standard error and a status: 2 for what cannot be, 1 for everything else. `name` (who
// speaks) and `world` are looked at only then: ranks of one job show one error.
int run_guarded(const std::string& name, const World& world,
                const std::function<int()>& body);

// On the watch's thread (membership/watch.h): the rank's own hangs, with whatever it
// holds. Ends the process, unless its own thread speaks already.
void say_last_words(const std::string& name, const World& world,
                    const std::string& verdict);

std::string one_line(const std::string& text);

}  // namespace lockstep::program
