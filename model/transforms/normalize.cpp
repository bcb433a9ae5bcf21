#include "model/transforms/normalize.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <string>

namespace vlaserve {
namespace {

constexpr double kOpenpiEps = 1e-6;
constexpr float kLerobotEps = 1e-8f;

// The two vectors that a mode works with: mean and standard deviation, or both quantiles.
struct Parameters {
  std::span<const double> low;
  std::span<const double> high;
};

Result<Parameters> SelectParameters(const Statistics& statistics, Normalization normalization) {
  if (normalization == Normalization::kZScore) {
    return Parameters{statistics.mean, statistics.std};
  }
  if (!statistics.q01 || !statistics.q99) {
    return Status(StatusCode::kFailedPrecondition,
                  "quantile normalisation needs q01 and q99, and the norm statistics lack them");
  }
  return Parameters{*statistics.q01, *statistics.q99};
}

double NormalizeOpenpi(double x, double low, double high, Normalization normalization) {
  if (normalization == Normalization::kZScore) return (x - low) / (high + kOpenpiEps);
  return (x - low) / (high - low + kOpenpiEps) * 2.0 - 1.0;
}

template <typename T>
double UnnormalizeOpenpi(T x, double low, double high, Normalization normalization) {
  if (normalization == Normalization::kZScore) return x * (high + kOpenpiEps) + low;
  return (x + T{1}) / T{2} * (high - low + kOpenpiEps) + low;
}

float LerobotRange(float low, float high) {
  const float range = high - low;
  return range == 0.0f ? kLerobotEps : range;
}

float NormalizeLerobot(float x, float low, float high, Normalization normalization) {
  if (normalization == Normalization::kZScore) return (x - low) / (high + kLerobotEps);
  return 2.0f * (x - low) / LerobotRange(low, high) - 1.0f;
}

float UnnormalizeLerobot(float x, float low, float high, Normalization normalization) {
  if (normalization == Normalization::kZScore) return x * high + low;
  return (x + 1.0f) * LerobotRange(low, high) / 2.0f + low;
}

template <typename T>
Result<std::vector<double>> UnnormalizeRows(std::span<const T> x, int64_t width,
                                            const Statistics& statistics,
                                            Normalization normalization, Convention convention) {
  assert(width > 0 && x.size() % static_cast<size_t>(width) == 0);
  VLASERVE_ASSIGN_OR_RETURN(const Parameters parameters,
                            SelectParameters(statistics, normalization));
  const size_t columns = static_cast<size_t>(width);
  const size_t known = parameters.low.size();
  if (known > columns || parameters.high.size() != known) {
    return Status(StatusCode::kInvalidArgument,
                  "rows of " + std::to_string(columns) +
                      " dimensions cannot be un-normalised with norm statistics of " +
                      std::to_string(std::max(known, parameters.high.size())));
  }
  std::vector<double> result(x.begin(), x.end());
  const bool pads_with_unit_std =
      convention == Convention::kOpenpi && normalization == Normalization::kZScore;
  for (size_t i = 0; i < result.size(); ++i) {
    const size_t column = i % columns;
    if (column < known) {
      const double low = parameters.low[column];
      const double high = parameters.high[column];
      result[i] = convention == Convention::kOpenpi
                      ? UnnormalizeOpenpi(x[i], low, high, normalization)
                      : UnnormalizeLerobot(static_cast<float>(x[i]), static_cast<float>(low),
                                           static_cast<float>(high), normalization);
    } else if (pads_with_unit_std) {
      result[i] = UnnormalizeOpenpi(x[i], 0.0, 1.0, normalization);
    }
  }
  return result;
}

}  // namespace

Result<std::vector<double>> Normalize(std::span<const double> x, const Statistics& statistics,
                                      Normalization normalization, Convention convention) {
  VLASERVE_ASSIGN_OR_RETURN(const Parameters parameters,
                            SelectParameters(statistics, normalization));
  if (x.size() > parameters.low.size() || x.size() > parameters.high.size()) {
    return Status(StatusCode::kInvalidArgument,
                  "data of " + std::to_string(x.size()) +
                      " dimensions cannot be normalised with norm statistics of " +
                      std::to_string(std::min(parameters.low.size(), parameters.high.size())));
  }
  std::vector<double> result(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double low = parameters.low[i];
    const double high = parameters.high[i];
    result[i] = convention == Convention::kOpenpi
                    ? NormalizeOpenpi(x[i], low, high, normalization)
                    : NormalizeLerobot(static_cast<float>(x[i]), static_cast<float>(low),
                                       static_cast<float>(high), normalization);
  }
  return result;
}

Result<std::vector<double>> Unnormalize(std::span<const float> x, int64_t width,
                                        const Statistics& statistics, Normalization normalization,
                                        Convention convention) {
  return UnnormalizeRows(x, width, statistics, normalization, convention);
}

Result<std::vector<double>> Unnormalize(std::span<const double> x, int64_t width,
                                        const Statistics& statistics, Normalization normalization,
                                        Convention convention) {
  return UnnormalizeRows(x, width, statistics, normalization, convention);
}

std::vector<double> PadWithZeros(std::span<const double> x, int64_t width) {
  std::vector<double> result(x.begin(), x.end());
  if (width > static_cast<int64_t>(result.size())) result.resize(static_cast<size_t>(width), 0.0);
  return result;
}

}  // namespace vlaserve
