// gRPC's and protobuf's own log lines, made part of ours.
#pragma once

namespace vlaserve {

// Sends them to spdlog's default logger: gRPC's by their severity (how much gRPC says is up to
// GRPC_VERBOSITY), protobuf's as debug lines, since the one that matters, text that is not UTF-8,
// is answered to the client. Both libraries keep one sink per process: this sets it once, whoever
// calls first.
void RouteLibraryLogs();

}  // namespace vlaserve
