#include "server/service/server.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <spdlog/spdlog.h>

#include "server/service/infer_call.h"
#include "server/service/info.h"
#include "server/service/library_logs.h"
#include "server/service/listener.h"
#include "server/service/policy_service.h"
#include "server/service/scheduler.h"

namespace vlaserve {
namespace {

constexpr char kServiceName[] = "vlaserve.v1.PolicyService";
constexpr int kMaxConcurrentStreams = 32;          // of one connection
constexpr int kMaxSyncThreads = 8;                 // for reflection, gRPC's only blocking service
constexpr int kMaxMetadataBytes = 8 << 10;         // of one call
constexpr int kKeepaliveMs = 20'000;               // a silent peer is asked after this
constexpr int kKeepaliveTimeoutMs = 5'000;         // and dropped this much later
constexpr int kMinPingIntervalMs = 5'000;          // clients may ask us this often
constexpr int kMaxConnectionIdleMs = 30 * 60'000;  // without a call
constexpr int64_t kMaxDrainMs = 600'000;
constexpr std::chrono::milliseconds kFlushTime{1'000};  // for answers on their way at the end

// gRPC's reflection library adds itself to every server of the process; this takes it out again.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments* /*arguments*/) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins,
                  [](const auto& plugin) { return plugin->name() == "proto_server_reflection"; });
  }
};

Status CheckRange(const char* field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return Status::Ok();
  return {
      StatusCode::kInvalidArgument, field,
      std::to_string(value) + ", expected " + std::to_string(low) + " to " + std::to_string(high)};
}

// "10", "0.5"
std::string Seconds(int64_t milliseconds) {
  std::ostringstream text;
  text << static_cast<double>(milliseconds) / 1000;
  return text.str();
}

uint64_t DrawFromSystem() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

std::string_view StateName(ServerState state) {
  switch (state) {
    case ServerState::kLoading:
      return "loading";
    case ServerState::kServing:
      return "serving";
    case ServerState::kDraining:
      return "draining";
    case ServerState::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions server_options, ServerInfo server_info, ServerSeams server_seams)
      : options(std::move(server_options)),
        info(std::move(server_info)),
        seams(std::move(server_seams)),
        scheduler(static_cast<size_t>(options.queue_capacity), *seams.clock,
                  [this](ServerState state) { OnState(state); }),
        context{info, *seams.clock, seams.draw_seed, scheduler},
        service(context, options) {}

  // On the scheduler's lock: from any thread, in order.
  void OnState(ServerState state) {
    SetHealth(state == ServerState::kServing);
    spdlog::info("state={}", StateName(state));
  }

  // Before the server exists there is nobody to tell.
  void SetHealth(bool serving) {
    if (server == nullptr) return;
    grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
    health->SetServingStatus("", serving);
    health->SetServingStatus(kServiceName, serving);
  }

  bool BuildServer() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    if (!options.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
    builder.SetMaxReceiveMessageSize(static_cast<int>(MaxMessageBytes(info.settings)));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxConcurrentStreams);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                               static_cast<int>(options.handshake_ms));
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kMinPingIntervalMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxConnectionIdleMs);
    grpc::ResourceQuota quota("vlaserve");
    quota.SetMaxThreads(kMaxSyncThreads);
    builder.SetResourceQuota(quota);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);  // not one thread per core
    builder.RegisterService(&service);
    acceptor = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::InsecureServerCredentials());
    server = builder.BuildAndStart();
    return server != nullptr;
  }

  // Takes over an accepted socket.
  void Serve(int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    acceptor->HandleNewConnection(&connection);
  }

  const ServerOptions options;
  const ServerInfo info;
  const ServerSeams seams;
  Scheduler scheduler;
  CallContext context;
  PolicyServiceImpl service;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
  bool finished = false;  // Wait has run to its end
  Status outcome;         // of Wait
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Server>> Server::Start(ServerOptions options, ServerInfo info,
                                              PolicyFactory factory, ServerSeams seams) {
  VLASERVE_RETURN_IF_ERROR(CheckRange("server.queue_capacity", options.queue_capacity, 1, 4096));
  if (options.drain_ms < 0 || options.drain_ms > kMaxDrainMs) {
    return Status(
        StatusCode::kInvalidArgument, "server.drain_seconds",
        Seconds(options.drain_ms) + ", expected 0 to " + Seconds(kMaxDrainMs) + " seconds");
  }
  VLASERVE_RETURN_IF_ERROR(CheckRange("handshake_ms", options.handshake_ms, 1, 3'600'000));
  if (!seams.draw_seed) seams.draw_seed = &DrawFromSystem;
  RouteLibraryLogs();

  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<Listener> listener,
                            Listener::Bind(options.address, options.insecure));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(info), std::move(seams));
  impl->listener = std::move(listener);
  impl->port = impl->listener->port();
  if (!impl->BuildServer()) {
    return Status(StatusCode::kInternal, "gRPC could not start the server; its log has the reason");
  }
  // Health is NOT_SERVING before the first connection is accepted.
  impl->SetHealth(false);
  Impl* shared = impl.get();
  impl->listener->Start([shared](int fd) { shared->Serve(fd); });
  impl->scheduler.Start(std::move(factory));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::~Server() {
  if (impl_->finished) return;
  RequestStop();
  const Status status = Wait();
  if (!status.ok()) spdlog::warn("server stopped: {}", status.message());
}

int Server::port() const { return impl_->port; }

int64_t Server::max_message_bytes() const { return MaxMessageBytes(impl_->info.settings); }

Status Server::WaitUntilServing() {
  impl_->scheduler.WaitFor(ServerState::kServing);
  if (impl_->scheduler.state() == ServerState::kServing) return Status::Ok();
  const Status failure = impl_->scheduler.load_status();
  if (!failure.ok()) return failure;
  return {StatusCode::kCancelled, "the server was stopped"};
}

void Server::RequestStop() { impl_->scheduler.RequestStop(); }

Status Server::Wait() {
  if (impl_->finished) return impl_->outcome;
  Scheduler& scheduler = impl_->scheduler;
  scheduler.WaitFor(ServerState::kDraining);
  if (!scheduler.WaitFor(ServerState::kStopped,
                         std::chrono::milliseconds(impl_->options.drain_ms))) {
    scheduler.Abort();
    scheduler.WaitFor(ServerState::kStopped);
  }
  impl_->listener->Stop();
  impl_->server->Shutdown(std::chrono::system_clock::now() + kFlushTime);
  impl_->server->Wait();

  impl_->outcome = scheduler.load_status();
  if (impl_->outcome.ok() && scheduler.aborted() > 0) {
    impl_->outcome = Status(StatusCode::kDeadlineExceeded,
                            std::to_string(scheduler.aborted()) +
                                " accepted requests were not finished within the " +
                                Seconds(impl_->options.drain_ms) + " s of server.drain_seconds");
  }
  impl_->finished = true;
  return impl_->outcome;
}

}  // namespace vlaserve
