// The listening sockets. gRPC is handed connections that are already accepted, because gRPC's own
// listener (1.51) binds with SO_REUSEPORT by default, so that two servers silently share a port,
// starts answering before its health service can be told NOT_SERVING, and never accepts again after
// one failure for lack of descriptors (grpc#20418).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

// Thread-safety: Bind, Start and Stop from one thread.
class Listener {
 public:
  // Takes over the connected socket `fd`. Called on the listener's thread.
  using OnConnection = std::function<void(int fd)>;

  // Resolves "HOST:PORT" or "[IPV6]:PORT" and listens on all addresses of HOST; connections wait
  // until Start. Errors: kInvalidArgument (field "server.address") for a malformed or unknown
  // address; kFailedPrecondition (same field) for one that is not loopback unless `insecure`;
  // kUnavailable if an address cannot be bound.
  static Result<std::unique_ptr<Listener>> Bind(const std::string& address, bool insecure);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int port() const { return port_; }

  // Accepts from now on. When descriptors run short, connections are closed at once instead: those
  // that would leave the rest of the process fewer than 64, and, should the limit be hit, the one
  // at the head of the queue by means of a descriptor kept in reserve. Accepting goes on as soon as
  // others close.
  void Start(OnConnection on_connection);

  // Accepts no more and closes the sockets.
  void Stop();

 private:
  Listener();
  void Run(const OnConnection& on_connection);
  // One connection that is waiting on `socket`.
  void AcceptOne(int socket, const OnConnection& on_connection);

  std::vector<int> sockets_;
  int port_ = 0;
  int wake_fd_ = -1;   // eventfd, written by Stop
  int spare_fd_ = -1;  // given up to be able to accept and close when there are no others
  std::thread thread_;
};

}  // namespace vlaserve
