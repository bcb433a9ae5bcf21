// What the server says about itself, and the limits that follow from the policy.
#pragma once

#include <cstdint>

#include "model/settings/policy_settings.h"
#include "server/service/scheduler.h"
#include "server/service/server.h"
#include "vlaserve/v1/policy.pb.h"

namespace vlaserve {

// Room for an uncompressed Full HD picture (1920 × 1080 × 3 bytes) of every camera that a request
// may carry and 1 MiB for the rest; at least 8 MiB.
int64_t MaxMessageBytes(const PolicySettings& settings);

v1::GetServerInfoResponse MakeServerInfo(const ServerInfo& info, const ServerOptions& options,
                                         ServerState state);

}  // namespace vlaserve
