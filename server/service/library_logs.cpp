#include "server/service/library_logs.h"

#include <mutex>
#include <string>

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/spdlog.h>

namespace vlaserve {
namespace {

void LogGrpc(gpr_log_func_args* args) {
  const auto level = args->severity == GPR_LOG_SEVERITY_ERROR  ? spdlog::level::err
                     : args->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::info
                                                               : spdlog::level::debug;
  spdlog::log(level, "grpc {}:{} {}", args->file, args->line, args->message);
}

void LogProtobuf(google::protobuf::LogLevel /*level*/, const char* file, int line,
                 const std::string& message) {
  spdlog::debug("protobuf {}:{} {}", file, line, message);
}

}  // namespace

void RouteLibraryLogs() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function(&LogGrpc);
    google::protobuf::SetLogHandler(&LogProtobuf);
  });
}

}  // namespace vlaserve
