// libtorch contains gloo, and its packages have `ProcessGroupGloo.hpp`, but not gloo's own headers, which that header
// includes. The headers of this folder declare the names that it uses. libtorch defines the functions; its classes hold
// gloo's objects by pointers only, so that their sizes do not matter here.
#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
  // Closes the connections to all peers.
  void closeConnections();
};

}  // namespace gloo
