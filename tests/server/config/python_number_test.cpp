// Numbers and flags as Python reads them.
#include "server/config/python_number.h"

#include <cmath>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

std::string IntText(std::string_view text) {
  const auto number = ParsePythonInt(text);
  return number.ok() ? number->digits : number.status().message();
}

}  // namespace

TEST_CASE("integers are Python's") {
  CHECK(IntText("8") == "8");
  CHECK(IntText(" +8\n") == "8");
  CHECK(IntText("\xC2\xA0-08") == "-8");  // no-break space
  CHECK(IntText("1_000") == "1000");
  CHECK(IntText("-0") == "0");
  CHECK(IntText("\xD9\xA8") == "8");  // Arabic-Indic eight
  CHECK(IntText("99999999999999999999") == "99999999999999999999");
  CHECK(ParsePythonInt("-99999999999999999999")->value == INT64_MIN);
  for (const std::string_view text :
       {"", " ", "16.0", "0x8", "1__0", "_1", "1_", "+ 8", "--8", "1e1", "four"}) {
    INFO(text);
    CHECK(IntText(text) == "invalid literal for int() with base 10: '" + std::string(text) + "'");
  }
  CHECK(IntText("it's") == "invalid literal for int() with base 10: \"it's\"");
  CHECK(IntText("a\n") == "invalid literal for int() with base 10: 'a\\n'");
}

TEST_CASE("numbers are Python's") {
  CHECK(ParsePythonFloat("9_9.9").value() == 99.9);
  CHECK(ParsePythonFloat(" -1e3 ").value() == -1000);
  CHECK(ParsePythonFloat(".5").value() == 0.5);
  CHECK(ParsePythonFloat("5.").value() == 5);
  CHECK(ParsePythonFloat("1e999").value() == INFINITY);
  CHECK(ParsePythonFloat("1e-999").value() == 0);
  CHECK(ParsePythonFloat("-Infinity").value() == -INFINITY);
  CHECK(std::isnan(ParsePythonFloat("nan").value()));
  for (const std::string_view text : {"", "abc", "1,5", "0x1p3", "1_.5", "1e", "infin", "nan(1)"}) {
    INFO(text);
    const auto number = ParsePythonFloat(text);
    REQUIRE(!number.ok());
    CHECK(number.status().message() ==
          "could not convert string to float: '" + std::string(text) + "'");
  }
}

TEST_CASE("a flag is off for three words only") {
  for (const std::string_view text : {"0", "false", "False"}) CHECK(!ParsePythonFlag(text));
  for (const std::string_view text : {"", "1", "no", "FALSE", " 0", "off"}) {
    CHECK(ParsePythonFlag(text));
  }
}

TEST_CASE("lists are split at commas, blanks stripped, empty parts dropped") {
  CHECK(SplitPythonList(" a , ,b,") == std::vector<std::string>{"a", "b"});
  CHECK(SplitPythonList(" , ,").empty());
}
