// Values of the command line.
#include "server/cli/arguments.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

TEST_CASE("a named file is split at the first equals sign") {
  const auto named = ParseNamedFile("wrist_image=a=b.png");
  REQUIRE(named.ok());
  CHECK(named->first == "wrist_image");
  CHECK(named->second == "a=b.png");
  for (const std::string bad : {"", "=", "a=", "=b", "a.png"}) {
    INFO(bad);
    const auto result = ParseNamedFile(bad);
    REQUIRE(!result.ok());
    CHECK(result.status().code() == StatusCode::kInvalidArgument);
  }
}

TEST_CASE("a seed that does not fit is refused, not replaced by the nearest") {
  CHECK(CheckSeed("0").empty());
  CHECK(CheckSeed("18446744073709551615").empty());
  for (const std::string bad :
       {"18446744073709551616", "99999999999999999999", "-1", "", "1.5", "7x", " 7", "0x7"}) {
    INFO(bad);
    CHECK_THAT(CheckSeed(bad), ContainsText("found \"" + bad + "\""));
  }
}

TEST_CASE("an empty path is refused, not taken for an absent one") {
  CHECK(CheckPath("a").empty());
  CHECK_FALSE(CheckPath("").empty());
}

TEST_CASE("a state is a list of numbers") {
  CHECK(ParseNumberList("-0.5").value() == std::vector<double>{-0.5});
  CHECK(ParseNumberList("1, 2e-3 ,-4").value() == std::vector<double>{1, 2e-3, -4});
  CHECK(std::isnan(ParseNumberList("nan,inf").value()[0]));
  // The nearest double, not a float.
  CHECK(ParseNumberList("0.1").value()[0] == 0.1);
  for (const std::string bad : {"", ",", "1,", ",1", "1,,2", "1;2", "1 2", "x", "1e999", "0x10"}) {
    INFO(bad);
    const auto result = ParseNumberList(bad);
    REQUIRE(!result.ok());
    CHECK(result.status().code() == StatusCode::kInvalidArgument);
  }
  CHECK_THAT(ParseNumberList("1,2,x").status().message(), ContainsText("\"x\" at position 2"));
}

TEST_CASE("a policy is a known name or a settings file") {
  const auto named = ReadPolicyArgument(PosixFileSystem(), "pi05_libero");
  REQUIRE(named.ok());
  CHECK(named->name == "pi05_libero");
  CHECK(named->type == PolicyType::kPi05);

  const auto unknown = ReadPolicyArgument(PosixFileSystem(), "pi7");
  REQUIRE(!unknown.ok());
  CHECK(unknown.status().code() == StatusCode::kInvalidArgument);
  CHECK_THAT(unknown.status().message(), ContainsText("pi0_libero"));

  const TempDir directory;
  const std::string file = directory.Write("mine.json", PolicySettingsToJson(*named));
  const auto read = ReadPolicyArgument(PosixFileSystem(), file);
  REQUIRE(read.ok());
  CHECK(read->name == "pi05_libero");

  for (const std::string& path : {directory.File("none.json"), directory.File("none")}) {
    const auto missing = ReadPolicyArgument(PosixFileSystem(), path);
    REQUIRE(!missing.ok());
    CHECK(missing.status().code() == StatusCode::kInvalidArgument);
    CHECK_THAT(missing.status().message(), ContainsText(path));
  }
}

TEST_CASE("the server's address comes from argument, environment or default, in this order") {
  const Environment environment = {{"VLASERVE_SERVER_ADDRESS", "10.0.0.1:7"}};
  CHECK(ServerAddress("[::1]:5", environment).value() == "[::1]:5");
  CHECK(ServerAddress(std::nullopt, environment).value() == "10.0.0.1:7");
  CHECK(ServerAddress(std::nullopt, {}).value() == "127.0.0.1:50051");
  CHECK(ServerAddress(std::nullopt, {{"VLASERVE_SERVER_ADDRESS", ""}}).value() ==
        "127.0.0.1:50051");
  CHECK_THAT(ServerAddress("nowhere", {}).status().message(), ContainsText("expected HOST:PORT"));
  CHECK_THAT(
      ServerAddress(std::nullopt, {{"VLASERVE_SERVER_ADDRESS", "nowhere"}}).status().message(),
      ContainsText("VLASERVE_SERVER_ADDRESS"));
}

TEST_CASE("a time limit is positive and bounded") {
  CHECK(ParseTimeout(0.25).value() == std::chrono::milliseconds(250));
  for (const double bad : {0.0, -1.0, 1e9, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(!ParseTimeout(bad).ok());
  }
}
