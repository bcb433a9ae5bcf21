#include "model/transforms/utf8.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/model/transforms/golden_text.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

TEST_CASE("every code point but surrogates is one character", "[utf8]") {
  size_t wrong = 0;
  for (uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    const std::string text = EncodeUtf8(code_point);
    const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
    if (Utf8CharacterLength(text + "\x80") != (surrogate ? 0 : text.size())) ++wrong;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      if (Utf8CharacterLength(text.substr(0, cut)) != 0) ++wrong;
      if (Utf8CharacterLength(text.substr(0, cut) + "a") != 0) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("what RFC 3629 forbids is no character", "[utf8]") {
  for (const char* text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
                           "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                           "\xf5\x80\x80\x80", "\xfe", "\xff", "\xf8\xa1\xa1\xa1\xa1"}) {
    CHECK(Utf8CharacterLength(text) == 0);
  }
  CHECK(Utf8CharacterLength("") == 0);
}

}  // namespace
}  // namespace vlaserve
