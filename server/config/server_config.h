// What a server is told: the options of server/config/option.h as typed values.
//
// Defaults stand in the option table, and LoadConfig fills every field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/policy/policy.h"
#include "quant/cache/pack_cache.h"
#include "quant/config/quant_config.h"

namespace vlaserve {

struct ServerConfig {
  // The policy archive; empty if nobody named one. Relative to the working directory.
  std::string archive;

  std::string address;         // HOST:PORT; port 0 lets the system choose
  int64_t queue_capacity = 0;  // waiting requests
  double drain_seconds = 0;    // time for running and waiting requests after SIGTERM
  bool insecure = false;       // clear text on an address that is not loopback
  bool reflection = false;

  std::string device;             // "cpu", "cuda" or "cuda:N"
  int64_t threads = 0;            // 0: all cores
  bool attention_kernel = false;  // PlaceAttention; else LibTorch's operator
  PolicyOptions policy;

  QuantConfig quant;
  PackCacheOptions pack_cache;

  std::string log_level;  // debug, info, warning, error
};

}  // namespace vlaserve
