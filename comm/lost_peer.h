// The error of a collective that failed, which names who is lost where the watch knows.
#pragma once

#include <exception>
#include <string>

#include "comm/peer_watch.h"

namespace lockstep::comm {

// "<what><how>, rank 2 (pid 4711 on nodeb) has gone, last step 17: <error>";
// `otherwise` in the place of the verdict where there is none. Waits a moment for the
// news.
CommError lost_peer(const std::string& what, const char* how,
                    const std::string& otherwise, const PeerWatchPtr& watch,
                    const std::exception& error);

}  // namespace lockstep::comm
