// Catch2 for all tests, version 2 (Debian 12) or 3.
#pragma once

#if VLASERVE_CATCH2_MAJOR >= 3
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
