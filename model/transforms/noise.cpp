#include "model/transforms/noise.h"

#include <bit>
#include <cassert>
#include <cfloat>
#include <cmath>
#include <cstddef>

namespace vlaserve {
namespace {

static_assert(FLT_EVAL_METHOD == 0, "double operations must be rounded to double");

constexpr int kRounds = 10;
constexpr uint64_t kMultiplier0 = 0xD2511F53;
constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;

// Polynomial with the coefficients in order of descending powers, by Horner's rule.
template <size_t kTerms>
double Polynomial(const double (&coefficients)[kTerms], double x) {
  double value = coefficients[0];
  for (size_t i = 1; i < kTerms; ++i) value = value * x + coefficients[i];
  return value;
}

// Natural logarithm of a positive normal number: x = m * 2^e with m in [sqrt(1/2), sqrt(2)), and
// log(m) = 2 * artanh((m - 1) / (m + 1)) by its series.
double Log(double x) {
  constexpr double kLn2 = 0.693147180559945309417232121458;
  constexpr double kSqrt2 = 1.41421356237309504880168872421;
  constexpr double kSeries[] = {2.0 / 25, 2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17,
                                2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9,  2.0 / 7,
                                2.0 / 5,  2.0 / 3,  2.0};
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double mantissa = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000);
  if (mantissa >= kSqrt2) {
    mantissa *= 0.5;
    ++exponent;
  }
  const double s = (mantissa - 1.0) / (mantissa + 1.0);
  return exponent * kLn2 + s * Polynomial(kSeries, s * s);
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

double NormalQuantile(double p) {
  assert(0.0 < p && p < 1.0);
  // AS 241, PPND16: a quotient of polynomials of degree 7 in each of three regions.
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) {
    constexpr double kNumerator[] = {
        2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
        13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080};
    constexpr double kDenominator[] = {
        5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
        5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0};
    const double r = 0.180625 - q * q;
    return q * Polynomial(kNumerator, r) / Polynomial(kDenominator, r);
  }
  double r = std::sqrt(-Log(q < 0.0 ? p : 1.0 - p));
  double tail = 0.0;
  if (r <= 5.0) {
    constexpr double kNumerator[] = {7.74545014278341407640e-4, 2.27238449892691845833e-2,
                                     2.41780725177450611770e-1, 1.27045825245236838258,
                                     3.64784832476320460504,    5.76949722146069140550,
                                     4.63033784615654529590,    1.42343711074968357734};
    constexpr double kDenominator[] = {1.05075007164441684324e-9, 5.47593808499534494600e-4,
                                       1.51986665636164571966e-2, 1.48103976427480074590e-1,
                                       6.89767334985100004550e-1, 1.67638483018380384940,
                                       2.05319162663775882187,    1.0};
    r -= 1.6;
    tail = Polynomial(kNumerator, r) / Polynomial(kDenominator, r);
  } else {
    constexpr double kNumerator[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5,
                                     1.24266094738807843860e-3, 2.65321895265761230930e-2,
                                     2.96560571828504891230e-1, 1.78482653991729133580,
                                     5.46378491116411436990,    6.65790464350110377720};
    constexpr double kDenominator[] = {2.04426310338993978564e-15, 1.42151175831644588870e-7,
                                       1.84631831751005468180e-5,  7.86869131145613259100e-4,
                                       1.48753612908506148525e-2,  1.36929880922735805310e-1,
                                       5.99832206555887937690e-1,  1.0};
    r -= 5.0;
    tail = Polynomial(kNumerator, r) / Polynomial(kDenominator, r);
  }
  return q < 0.0 ? -tail : tail;
}

std::vector<float> GaussianNoise(uint64_t seed, int64_t count) {
  assert(count >= 0);
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed),
                                       static_cast<uint32_t>(seed >> 32)};
  std::vector<float> noise(static_cast<size_t>(count));
  for (size_t i = 0; i < noise.size(); i += 2) {
    const uint64_t block = i / 2;
    const std::array<uint32_t, 4> words =
        Philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), 0, 0}, key);
    for (size_t j = 0; j < 2 && i + j < noise.size(); ++j) {
      const uint64_t bits = (uint64_t{words[2 * j + 1]} << 32 | words[2 * j]) >> 12;
      const double p = (static_cast<double>(bits) + 0.5) * 0x1p-52;
      noise[i + j] = static_cast<float>(NormalQuantile(p));
    }
  }
  return noise;
}

}  // namespace vlaserve
