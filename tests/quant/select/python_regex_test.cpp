// Python's re.search, through PCRE2.
#include "quant/select/python_regex.h"

#include <map>
#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace vlaserve;  // NOLINT(google-build-using-namespace)

namespace {

bool Finds(const std::string& pattern, const std::string& text) {
  const auto regex = PythonRegex::Compile(pattern);
  INFO(pattern << ": " << regex.status().message());
  REQUIRE(regex.ok());
  const auto found = regex->Search(text);
  INFO(found.status().message());
  REQUIRE(found.ok());
  return *found;
}

std::string ErrorOf(const std::string& pattern) {
  const auto regex = PythonRegex::Compile(pattern);
  if (regex.ok()) return "";
  CHECK(regex.status().code() == StatusCode::kInvalidArgument);
  return regex.status().message();
}

}  // namespace

TEST_CASE("search looks anywhere and anchors where Python does") {
  CHECK(Finds("b", "abc"));
  CHECK(!Finds("^b", "abc"));
  CHECK(Finds("c$", "abc"));
  CHECK(Finds("c$", "abc\n"));  // before a newline at the end
  CHECK(!Finds("c\\Z", "abc\n"));
  CHECK(Finds("c\\Z", "abc"));
  CHECK(!Finds("a.b", "a\nb"));
  CHECK(Finds("(?s)a.b", "a\nb"));
  CHECK(Finds("a.b", "a\rb"));  // only \n ends a line
  CHECK(Finds("(?m)a\n^", "a\n"));
  CHECK(!Finds("\\B", ""));
  CHECK(Finds("", ""));
}

TEST_CASE("a POSIX class is a set of letters, as in Python") {
  CHECK(!Finds("^[[:digit:]]$", "1"));
  CHECK(Finds("^[[:digit:]]$", "g]"));
  CHECK(Finds("^[]a]+$", "a]"));
}

TEST_CASE("what PCRE2 spells differently is translated") {
  CHECK(Finds("^a{,2}$", "aa"));
  CHECK(!Finds("^a{,2}$", "aaa"));
  CHECK(Finds("^a{x}$", "a{x}"));
  CHECK(Finds("^a{,}$", "aaaa"));
  CHECK(Finds("(?P<n>a)(?P=n)", "aa"));
  CHECK(Finds("(a)?(?(1)b|c)$", "ab"));
  CHECK(Finds("(?x)^ a b # comment\n c$", "abc"));
  CHECK(Finds("\\x41\\u0042\\103\\t", "ABC\t"));
  CHECK(Finds("\\s", "\x1c"));
  CHECK(!Finds("(?a)\\s", "\x1c"));
  CHECK(Finds("[\\b]", "\b"));
  CHECK(Finds("(?i:A)b", "ab"));
  CHECK(!Finds("(?i:A)B", "ab"));
}

TEST_CASE("what Python refuses is refused with Python's message") {
  const std::map<std::string, std::string> errors = {
      {"a(?i)", "global flags not at the start of the expression at position 1"},
      {"\\q", "bad escape \\q at position 0"},
      {"\\K", "bad escape \\K at position 0"},
      {"\\Qa.b\\E", "bad escape \\Q at position 0"},
      {"\\R", "bad escape \\R at position 0"},
      {"\\h", "bad escape \\h at position 0"},
      {"\\p{L}", "bad escape \\p at position 0"},
      {"\\z", "bad escape \\z at position 0"},
      {"(?|a|b)", "unknown extension ?| at position 1"},
      {"(?R)", "unknown extension ?R at position 1"},
      {"(?1)", "unknown extension ?1 at position 1"},
      {"(?&n)", "unknown extension ?& at position 1"},
      {"(?<n>a)", "unknown extension ?<n at position 1"},
      {"(*FAIL)", "nothing to repeat at position 1"},
      {"a**", "multiple repeat at position 2"},
      {"^*", "nothing to repeat at position 1"},
      {"a{2,1}", "min repeat greater than max repeat at position 2"},
      {"[b-a]", "bad character range b-a at position 1"},
      {"[a", "unterminated character set at position 0"},
      {"a)", "unbalanced parenthesis at position 1"},
      {"\\1", "invalid group reference 1 at position 1"},
      {"(\\1)", "cannot refer to an open group at position 1"},
      {"(?<=a+)b", "look-behind requires fixed-width pattern"},
      {"a\n(", "missing ), unterminated subpattern at position 2 (line 2, column 1)"},
      {"\\", "bad escape (end of pattern) at position 0"},
  };
  for (const auto& [pattern, message] : errors) {
    INFO(pattern);
    CHECK(ErrorOf(pattern) == message);
  }
}

TEST_CASE("what cannot be done the Python way is refused") {
  for (const std::string pattern :
       {"(?t)a", "\\N{DIGIT ONE}", "(?i)\xC3\xA9", "a{70000}", "\\ud800"}) {
    INFO(pattern);
    CHECK(ErrorOf(pattern).rfind("not supported: ", 0) == 0);
  }
  CHECK(ErrorOf(std::string(20'000, 'a')).rfind("not supported: ", 0) == 0);
  CHECK(ErrorOf(std::string(300, '(') + std::string(300, ')')).rfind("not supported: ", 0) == 0);
  CHECK(ErrorOf("\xFF") == "the expression is not UTF-8");
  const auto regex = PythonRegex::Compile("a");
  REQUIRE(regex.ok());
  CHECK(!regex->Search("\xC3\xA9").ok());
}

TEST_CASE("an expression that backtracks without end is an error, soon") {
  const auto regex = PythonRegex::Compile("^((a|b)*?c|(a+)+)+$");
  REQUIRE(regex.ok());
  const auto found = regex->Search(std::string(60, 'a') + "!");
  REQUIRE(!found.ok());
  CHECK(found.status().message().find("takes too long") == 0);
}
