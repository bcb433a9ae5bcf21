// Seeded Gaussian noise that is the same on every machine.
//
// Element i of a seed's stream depends on (seed, i) only: Philox4x32-10 (Salmon, Moraes, Dror,
// Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011) makes 52 random bits, and the
// inverse of the normal distribution function (Wichura: algorithm AS 241, PPND16, Applied
// Statistics 37, 1988) turns them into a normal variate. Only IEEE 754 additions, multiplications,
// divisions and square roots are used, each rounded on its own, so no math library has a say.
// NOISE.md beside this file gives the exact definition and test vectors.
//
// Thread-safety: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace vlaserve {

// One block of Philox4x32 with 10 rounds.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Quantile of the standard normal distribution, relative error about 1e-15. Precondition:
// 0 < p < 1.
double NormalQuantile(double p);

// The first `count` elements of the stream of `seed`: independent standard normal values, rounded
// to float32, |x| < 8.3. Precondition: count >= 0.
std::vector<float> GaussianNoise(uint64_t seed, int64_t count);

}  // namespace vlaserve
