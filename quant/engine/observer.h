// What engines report while they run: the [DUQUANT][CACHE] / [FORWARD] lines and the profile. Free
// of LibTorch. Not thread-safe: engines run on one thread.
//
// Lines and tables have openpi_duquant's form to the letter (README of the quantizer's golden data,
// §3).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vlaserve {

// Seconds since some fixed moment; tests replace it.
using SecondsClock = std::function<double()>;

// One row of openpi_duquant's profile tables.
struct ProfileRow {
  int64_t calls = 0;
  double seconds = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
};

using ProfileRows = std::map<std::string, ProfileRow, std::less<>>;

// The table under a title, line by line, rows sorted by label; empty if there are no rows.
std::vector<std::string> FormatProfileTable(std::string_view title, const ProfileRows& rows);

// "[POLICY][PROFILE] inference summary" with the one row `policy_infer`. `context`: "" or
// " [episode 1]".
std::vector<std::string> PolicyProfileTable(const ProfileRow& policy_infer,
                                            std::string_view context);

// A layer whose weights are ready to compute with.
struct CachedLayer {
  std::string_view name;
  std::string_view dtype;  // "float32", "bfloat16"
  int64_t weight_bits = 0;
  int64_t activation_bits = 0;
  int64_t block = 0;              // as configured
  bool permuted = false;          // as packed
  std::string_view row_rotation;  // "0", "restore", "propagate", "none"
  bool weights_prequantized = false;
};

// The first call of a layer.
struct ForwardedLayer {
  std::string_view name;
  std::span<const int64_t> input_shape;
  std::span<const int64_t> output_shape;
  int64_t weight_bits = 0;
  int64_t activation_bits = 0;
};

class EngineObserver {
 public:
  struct Options {
    bool debug = false;                                     // CACHE and FORWARD lines
    bool profile = false;                                   // times
    bool cuda_sync = true;                                  // what the profile's title says
    SecondsClock clock = {};                                // needed with `profile`
    std::function<void(const std::string& line)> log = {};  // where CACHE and FORWARD lines go
  };
  explicit EngineObserver(Options options);

  const Options& options() const { return options_; }

  // Lines for the log; nothing without `debug`.
  void LogCached(const CachedLayer& layer) const;
  void LogForwarded(const ForwardedLayer& layer) const;

  // Adds one call to the profile; nothing without `profile`. `label`: "activation_forward",
  // "weight_prequant", "weight_fallback".
  void Record(std::string_view label, double seconds, int64_t elements, int64_t bytes);
  // Runs `work` and records how long it took.
  template <typename Work>
  auto Timed(std::string_view label, int64_t elements, int64_t bytes, const Work& work) {
    if (!options_.profile) return work();
    const double start = options_.clock();
    auto result = work();
    Record(label, options_.clock() - start, elements, bytes);
    return result;
  }
  // openpi_duquant's table, line by line, rows sorted by label; empty if nothing was recorded.
  // `context`: "" or " [episode 1]" in the title.
  std::vector<std::string> ProfileTable(std::string_view context) const;
  void ResetProfile();

  // The denoise step being computed, for per-step scales; set by the policy before each step.
  int64_t denoise_step = 0;

 private:
  Options options_;
  ProfileRows rows_;
};

}  // namespace vlaserve
