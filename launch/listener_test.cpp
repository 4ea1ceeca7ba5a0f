#include "launch/listener.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <stdexcept>

namespace lockstep::launch {
namespace {

// Whether a client on this machine gets through to the port.
bool connects(int port) {
  Fd client(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<in_port_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(client.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) == 0;
}

std::string refusal(const std::string& host, int port) {
  try {
    Listener listener(host, port);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ListenerTest, ListensOnAFreePortOfLoopbackAlone) {
  Listener listener;
  EXPECT_GT(listener.port(), 0);
  EXPECT_TRUE(connects(listener.port()));
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&address), &length);
  EXPECT_EQ(address.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_TRUE(fcntl(listener.fd(), F_GETFD) & FD_CLOEXEC);
}

TEST(ListenerTest, ClosesWithItsOwner) {
  int port = 0;
  {
    Listener listener("127.0.0.1");
    port = listener.port();
    EXPECT_TRUE(connects(port));
  }
  EXPECT_FALSE(connects(port));
  // Connections of a moment ago do not keep the port.
  EXPECT_EQ(Listener("127.0.0.1", port).port(), port);
}

TEST(ListenerTest, ReleaseLeavesItOpen) {
  Fd kept;
  int port = 0;
  {
    Listener listener;
    port = listener.port();
    kept = Fd(listener.release());
    EXPECT_EQ(listener.fd(), -1);
  }
  EXPECT_TRUE(connects(port));
}

TEST(ListenerTest, ABusyPortIsNamedWithAWayOut) {
  Listener first;
  std::string port = std::to_string(first.port());
  EXPECT_EQ(refusal("127.0.0.1", first.port()),
            "cannot listen on 127.0.0.1:" + port +
                ": Address already in use; give another --master-port");
  // The refused one did no harm to the first.
  EXPECT_TRUE(connects(first.port()));
}

TEST(ListenerTest, ImpossiblePlacesAreNamed) {
  EXPECT_NE(refusal("127.0.0.1", 70000).find("127.0.0.1:70000"), std::string::npos);
  EXPECT_NE(refusal("127.0.0.1", -1).find("127.0.0.1:-1"), std::string::npos);
  // An address kept for documentation: never this machine's.
  EXPECT_EQ(refusal("192.0.2.1", 0),
            "cannot listen on 192.0.2.1:0: Cannot assign requested address; give an "
            "address of this machine as --master-addr");
  EXPECT_NE(refusal("not an address", 0).find("--master-addr"), std::string::npos);
}

}  // namespace
}  // namespace lockstep::launch
