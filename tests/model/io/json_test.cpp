#include "model/io/json.h"

#include <string>

#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

// The message of the failure to parse `text`.
std::string ErrorOf(const std::string& text) {
  const auto result = ParseJson(text, "a.json");
  REQUIRE_FALSE(result.ok());
  CHECK(result.status().code() == StatusCode::kUnreadable);
  CHECK_THAT(result.status().message(), Catch::Matchers::StartsWith("a.json: "));
  return result.status().message();
}

TEST_CASE("ParseJson: builds what nlohmann builds") {
  const std::string text =
      R"({"a": [1, -2, 3.5, "x\u00e9", true, false, null, [], {}], "b": {"a": {"c": [[1], [2]]}},)"
      R"( "": 18446744073709551615})";
  const auto parsed = ParseJson(text, "a.json");
  REQUIRE(parsed.ok());
  CHECK(*parsed == nlohmann::json::parse(text));
  CHECK((*parsed)[""].get<uint64_t>() == 18446744073709551615u);
  CHECK(ParseJson("3", "a.json")->get<int>() == 3);
}

TEST_CASE("ParseJson: duplicate keys are refused with their pointer") {
  CHECK_THAT(ErrorOf(R"({"a": 1, "a": 2})"), ContainsText("duplicate key /a"));
  CHECK_THAT(ErrorOf(R"({"a": {"b": 1}, "c": [0, {"x/y": 1, "x/y": 1}]})"),
             ContainsText("duplicate key /c/1/x~1y"));
  CHECK_THAT(ErrorOf(R"({"a": [[], [{"k": 1}, {"k": 2, "k": 3}]]})"),
             ContainsText("duplicate key /a/1/1/k"));
  CHECK(ParseJson(R"({"a": {"k": 1}, "b": {"k": 1}})", "a.json").ok());
}

TEST_CASE("ParseJson: an escaped spelling of the same key is a duplicate") {
  CHECK_THAT(ErrorOf(R"({"a": 1, "\u0061": 2})"), ContainsText("duplicate key /a"));
}

TEST_CASE("ParseJson: nesting is limited") {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(ParseJson(nested(64), "a.json").ok());
  CHECK_THAT(ErrorOf(nested(65)), ContainsText("nested deeper than 64"));
  CHECK_THAT(ErrorOf(std::string(1000000, '[')), ContainsText("nested deeper than 64"));
}

TEST_CASE("ParseJson: syntax errors name line and column") {
  CHECK_THAT(ErrorOf("{\n  \"a\": tru\n}"), ContainsText("line 2, column 11"));
  CHECK_THAT(ErrorOf("{\"a\": 1,}"), ContainsText("line 1, column 9"));
  CHECK_THAT(ErrorOf(""), ContainsText("line 1, column 1"));
  CHECK_THAT(ErrorOf("[1, 2"), ContainsText("line 1, column 6"));
}

TEST_CASE("ParseJson: what strict JSON does not have is refused") {
  CHECK_THAT(ErrorOf("{} {}"), ContainsText("line 1, column 4"));
  CHECK_THAT(ErrorOf("// comment\n{}"), ContainsText("not valid JSON"));
  CHECK_THAT(ErrorOf("{} // comment"), ContainsText("not valid JSON"));
  CHECK_THAT(ErrorOf("NaN"), ContainsText("not valid JSON"));
  CHECK_THAT(ErrorOf("[01]"), ContainsText("not valid JSON"));
  CHECK_THAT(ErrorOf("1e999"), ContainsText("not valid JSON"));
}

TEST_CASE("ParseJson: a NUL byte does not end the text") {
  CHECK_THAT(ErrorOf(std::string("{}\0{\"a\": 1}", 11)),
             ContainsText("line 1, column 3: NUL byte"));
  CHECK_THAT(ErrorOf(std::string("{}\0", 3)), ContainsText("NUL byte"));
}

TEST_CASE("ParseJson: invalid UTF-8 is refused, and the message is printable") {
  for (const char* bad : {"\xff", "\xc3(", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xc0\xaf"}) {
    const std::string message = ErrorOf("[\"" + std::string(bad) + "\"]");
    CHECK_THAT(message, ContainsText("UTF-8"));
    for (const char c : message) REQUIRE((c >= 0x20 && c < 0x7F));
  }
  CHECK_THAT(ErrorOf("{\"\xff\": 1}"), ContainsText("UTF-8"));
}

TEST_CASE("ParseJson: a message does not repeat a huge token") {
  CHECK(ErrorOf("[\"" + std::string(100000, 'x')).size() < 500);
}

TEST_CASE("ReadJsonFile: messages begin with the path") {
  const TempDir dir;
  const std::string path = dir.Write("config.json", "{\"a\": 1, \"a\": 1}");
  const auto duplicate = ReadJsonFile(PosixFileSystem(), path);
  CHECK(duplicate.status().message() == path + ": duplicate key /a, expected each key once");
  CHECK(ReadJsonFile(PosixFileSystem(), dir.File("none")).status().code() == StatusCode::kNotFound);
}

TEST_CASE("ReadJsonFile: larger than the limit is refused") {
  const TempDir dir;
  const std::string path = dir.Write("a.json", "[1, 2, 3]");
  CHECK(ReadJsonFile(PosixFileSystem(), path, 9).ok());
  CHECK(ReadJsonFile(PosixFileSystem(), path, 8).status().code() == StatusCode::kUnreadable);
}

TEST_CASE("ReadJsonFile: every truncation of an object is an error") {
  const TempDir dir;
  const std::string text = R"({"a": [1, {"b": "cd"}], "e": -1.5e3})";
  const std::string path = dir.Write("a.json", text);
  for (size_t size = 0; size < text.size(); ++size) {
    FaultyFileSystem files(PosixFileSystem());
    files.Truncate(path, size);
    REQUIRE(ReadJsonFile(files, path).status().code() == StatusCode::kUnreadable);
  }
}

}  // namespace
}  // namespace vlaserve
