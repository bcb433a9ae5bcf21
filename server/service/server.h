// The gRPC server: vlaserve.v1.PolicyService, grpc.health.v1.Health and reflection for one policy.
//
// This header knows neither gRPC nor LibTorch. Threads, states and the life cycle are described in
// server/service/README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/checkpoint/geometry.h"
#include "model/io/status.h"
#include "model/policy/policy.h"
#include "model/settings/policy_settings.h"
#include "server/service/clock.h"

namespace vlaserve {

struct ServerOptions {
  // "HOST:PORT" or "[IPV6]:PORT"; port 0 takes a free one. All addresses of HOST are bound.
  std::string address = "127.0.0.1:50051";
  // Allows addresses that are not loopback. Traffic is in clear text and anyone who reaches the
  // port may use the policy.
  bool insecure = false;
  int64_t queue_capacity = 64;   // requests that may wait, 1..4096; the running one is not counted
  int64_t drain_ms = 10'000;     // after RequestStop: time for what was accepted, 0..600,000
  bool reflection = true;        // grpc.reflection, for grpcurl and the like
  int64_t handshake_ms = 5'000;  // a connection that has not spoken HTTP/2 by then is closed, >= 1
};

// What really runs quantized; known once the policy is loaded.
struct QuantizationInfo {
  // Linears of one group with the same bits.
  struct Group {
    std::string name;  // "llm.attn", "" for none
    int64_t linears = 0;
    int64_t weight_bits = 0;      // 0: not quantized
    int64_t activation_bits = 0;  // 0: not quantized
  };
  std::string engine;  // "int", …, "off"
  std::string preset;
  std::string kernel;  // "avx2", "libtorch"; empty: nothing is quantized
  int64_t quantized_linears = 0;
  int64_t linears = 0;  // of the archive
  std::vector<Group> groups;
  int64_t weight_bytes_before = 0;  // of the quantized linears
  int64_t weight_bytes_after = 0;
  int64_t resident_anonymous_bytes = 0;  // of the process, when asked
  int64_t resident_file_bytes = 0;
};

// What GetServerInfo reports about what is served; known before the policy is ready.
struct ServerInfo {
  std::string version;         // of the program
  std::string archive_sha256;  // Archive::archive_sha256()
  // Decides which cameras a request may carry, and the number of denoise steps of a request that
  // does not say (settings.num_steps).
  PolicySettings settings;
  Geometry geometry;
  std::string device;         // "cpu", "cuda:0"
  std::string compute_dtype;  // "float32", "bfloat16"
  int64_t threads = 1;        // of one operator on the CPU
  // Asked by every GetServerInfo, from any thread; nothing before the policy is loaded. May be
  // empty.
  std::function<std::optional<QuantizationInfo>()> quantization = {};
};

// Makes the policy ready except for WarmUp. Called once, on the worker thread, which is also the
// thread of WarmUp, of every Infer and of the policy's destruction.
using PolicyFactory = std::function<Result<std::unique_ptr<Policy>>()>;

// What a test may replace. The pointers and functions must outlive the server.
struct ServerSeams {
  const Clock* clock = &SteadyClock();
  // The seed of a request that brings neither seed nor noise. Called from any thread. Empty: the
  // operating system's random numbers.
  std::function<uint64_t()> draw_seed;
};

// Thread-safety: RequestStop, WaitUntilServing and port may be called from any thread, Wait from
// one. None may be called from a signal handler.
class Server {
 public:
  // Binds the address, answers health (NOT_SERVING) and GetServerInfo at once, and starts loading
  // on the worker thread; returns without waiting for it. Errors: kInvalidArgument with field()
  // naming the option ("server.address", …); kFailedPrecondition for an address that is not
  // loopback without `insecure`; kUnavailable when the address cannot be bound (exit code 4).
  static Result<std::unique_ptr<Server>> Start(ServerOptions options, ServerInfo info,
                                               PolicyFactory factory, ServerSeams seams = {});
  // RequestStop and Wait if that has not happened.
  ~Server();

  int port() const;
  // The largest serialized InferRequest that is accepted, bytes.
  int64_t max_message_bytes() const;

  // Blocks until health is SERVING (ok), loading or warm-up has failed (that failure), or the
  // server was told to stop (kCancelled).
  Status WaitUntilServing();

  // Health becomes NOT_SERVING and new requests are UNAVAILABLE from here on. Does not block.
  void RequestStop();

  // Blocks until RequestStop was called or loading has failed, then gives accepted requests up to
  // drain_ms, refuses the rest, ends the running inference at its next denoise step, and closes the
  // port. A factory or WarmUp that is running is waited for. Returns ok after a stop with nothing
  // lost, kDeadlineExceeded when requests had to be given up, or why loading failed.
  Status Wait();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vlaserve
