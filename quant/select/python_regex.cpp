#include "quant/select/python_regex.h"

#include <algorithm>
#include <array>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "quant/select/python_regex_translate.h"

namespace vlaserve {
namespace {

// A name of a hundred characters needs a few thousand steps even for clumsy expressions.
constexpr uint32_t kMatchLimit = 2'000'000;
constexpr uint32_t kDepthLimit = 20'000;
constexpr uint32_t kHeapKilobytes = 65'536;

std::string Pcre2Message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using CompileContext = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free>>;

}  // namespace

struct PythonRegex::Compiled {
  std::string pattern;
  std::unique_ptr<pcre2_code, Free<pcre2_code_free>> code;
  std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>> match;
  std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>> limits;
};

PythonRegex::PythonRegex(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
PythonRegex::PythonRegex(PythonRegex&&) noexcept = default;
PythonRegex& PythonRegex::operator=(PythonRegex&&) noexcept = default;
PythonRegex::~PythonRegex() = default;

Result<PythonRegex> PythonRegex::Compile(std::string_view pattern) {
  VLASERVE_ASSIGN_OR_RETURN(const TranslatedRegex translated, TranslatePythonRegex(pattern));
  uint32_t options = PCRE2_UTF | PCRE2_ALT_CIRCUMFLEX;
  if (translated.ignore_case) options |= PCRE2_CASELESS;
  if (translated.multi_line) options |= PCRE2_MULTILINE;
  if (translated.dot_all) options |= PCRE2_DOTALL;
  const CompileContext context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  auto compiled = std::make_unique<Compiled>();
  compiled->pattern = pattern;
  compiled->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.pattern.data()),
                                     translated.pattern.size(), options, &error, &offset,
                                     context.get()));
  if (!compiled->code) {
    return Status(StatusCode::kInvalidArgument,
                  "not supported: valid in Python, but PCRE2 says: " + Pcre2Message(error));
  }
  compiled->match.reset(pcre2_match_data_create_from_pattern(compiled->code.get(), nullptr));
  compiled->limits.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(compiled->limits.get(), kMatchLimit);
  pcre2_set_depth_limit(compiled->limits.get(), kDepthLimit);
  pcre2_set_heap_limit(compiled->limits.get(), kHeapKilobytes);
  return PythonRegex(std::move(compiled));
}

Result<bool> PythonRegex::Search(std::string_view text) const {
  if (std::any_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; })) {
    return Status(
        StatusCode::kInvalidArgument,
        "regular expressions are not supported for a name that is not ASCII: " + std::string(text));
  }
  const int found = pcre2_match(compiled_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                text.size(), 0, 0, compiled_->match.get(), compiled_->limits.get());
  if (found >= 0) return true;
  if (found == PCRE2_ERROR_NOMATCH) return false;
  return Status(StatusCode::kInvalidArgument,
                "takes too long on \"" + std::string(text) + "\": " + Pcre2Message(found));
}

const std::string& PythonRegex::pattern() const { return compiled_->pattern; }

}  // namespace vlaserve
