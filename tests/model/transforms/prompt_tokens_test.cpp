#include "model/transforms/prompt_tokens.h"

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "model/io/file_system.h"
#include "tests/model/transforms/golden_text.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

namespace vlaserve {
namespace {

Tokenizer GoldenTokenizer() {
  const auto bytes =
      PosixFileSystem().Read(GoldenPath("tokenizer/tokenizer.model"), size_t{1} << 26);
  INFO(bytes.status().message());
  REQUIRE(bytes.ok());
  auto tokenizer = Tokenizer::Parse(*bytes, "tokenizer.model");
  INFO(tokenizer.status().message());
  REQUIRE(tokenizer.ok());
  return std::move(tokenizer).value();
}

PromptTokens Tokenize(const Tokenizer& tokenizer, PromptFormat format, const std::string& prompt,
                      const std::vector<double>& state, int64_t slots) {
  auto tokens = TokenizePrompt(tokenizer, format, prompt, state, slots);
  REQUIRE(tokens.ok());
  return std::move(tokens).value();
}

// The tokens in use; the rest must be padding.
std::vector<int64_t> ValidIds(const PromptTokens& tokens, int64_t slots) {
  const auto used = static_cast<size_t>(tokens.length);
  REQUIRE(tokens.ids.size() == static_cast<size_t>(slots));
  REQUIRE(tokens.mask.size() == tokens.ids.size());
  REQUIRE(used <= tokens.ids.size());
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    if (tokens.mask[i] != (i < used ? 1 : 0)) return {};
    if (i >= used && tokens.ids[i] != 0) return {};
  }
  return {tokens.ids.begin(), tokens.ids.begin() + tokens.length};
}

TEST_CASE("golden: prompts become the reference's tokens", "[prompt_tokens]") {
  const Tokenizer tokenizer = GoldenTokenizer();
  const nlohmann::json golden = ReadGoldenJson("tokenizer/cases.json");
  size_t cases = 0;
  for (const auto& expected : golden.at("cases")) {
    const std::string hex = expected.at("utf8_hex").get<std::string>();
    CAPTURE(hex);
    const std::string prompt = FromHex(hex);
    const auto ids48 = expected.at("pi0_48").get<std::vector<int64_t>>();
    const auto tokens48 = Tokenize(tokenizer, PromptFormat::kPi0, prompt, {}, 48);
    CHECK(ValidIds(tokens48, 48) == ids48);
    CHECK(tokens48.truncated == (expected.at("pi0_untruncated_len").get<int64_t>() > 48));
    const auto& pi0_200 = expected.at("pi0_200");
    const auto tokens200 = Tokenize(tokenizer, PromptFormat::kPi0, prompt, {}, 200);
    CHECK(ValidIds(tokens200, 200) ==
          (pi0_200.is_null() ? ids48 : pi0_200.get<std::vector<int64_t>>()));
    if (expected.contains("pi05_200")) {
      const auto state = expected.at("state").get<std::vector<double>>();
      const auto tokens = Tokenize(tokenizer, PromptFormat::kPi05State, prompt, state, 200);
      CHECK(ValidIds(tokens, 200) == expected.at("pi05_200").get<std::vector<int64_t>>());
    }
    ++cases;
  }
  ReportGoldenCases("tokenizer: prompts", cases);
}

TEST_CASE("golden: padded ids and masks are the reference's", "[prompt_tokens]") {
  const Tokenizer tokenizer = GoldenTokenizer();
  const nlohmann::json golden = ReadGoldenJson("tokenizer/cases.json");
  size_t cases = 0;
  for (const auto& expected : golden.at("padded_cases")) {
    std::vector<double> state;
    PromptFormat format = PromptFormat::kPi0;
    if (!expected.at("state").is_null()) {
      state = expected.at("state").get<std::vector<double>>();
      format = PromptFormat::kPi05State;
    }
    const auto tokens = Tokenize(tokenizer, format, expected.at("text").get<std::string>(), state,
                                 expected.at("max_len").get<int64_t>());
    CHECK(tokens.ids == expected.at("tokens").get<std::vector<int64_t>>());
    const auto mask = expected.at("mask").get<std::vector<int>>();
    CHECK(std::vector<int>(tokens.mask.begin(), tokens.mask.end()) == mask);
    ++cases;
  }
  ReportGoldenCases("tokenizer: padded_cases", cases);
}

TEST_CASE("golden: a prompt longer than its slots loses its tail", "[prompt_tokens]") {
  const Tokenizer tokenizer = GoldenTokenizer();
  const auto whole = Tokenize(tokenizer, PromptFormat::kPi0, "pick up the bowl", {}, 48);
  REQUIRE(whole.length > 2);
  CHECK(!whole.truncated);
  const auto exact = Tokenize(tokenizer, PromptFormat::kPi0, "pick up the bowl", {}, whole.length);
  CHECK(!exact.truncated);
  CHECK(ValidIds(exact, whole.length) == ValidIds(whole, 48));
  const auto cut =
      Tokenize(tokenizer, PromptFormat::kPi0, "pick up the bowl", {}, whole.length - 1);
  CHECK(cut.truncated);
  CHECK(cut.length == whole.length - 1);
  CHECK(cut.ids.front() == tokenizer.bos_id());
  ReportGoldenCases("tokenizer: truncation", 1);
}

TEST_CASE("golden: a state that is not a number is refused where it is used", "[prompt_tokens]") {
  const Tokenizer tokenizer = GoldenTokenizer();
  const std::vector<double> state = {0.0, std::nan("")};
  const auto used = TokenizePrompt(tokenizer, PromptFormat::kPi05State, "x", state, 48);
  CHECK(used.status().code() == StatusCode::kInvalidArgument);
  CHECK(used.status().field() == "state");
  CHECK(TokenizePrompt(tokenizer, PromptFormat::kPi0, "x", state, 48).ok());
  CHECK(TokenizePrompt(tokenizer, PromptFormat::kPi0, "x", {}, 0).status().code() ==
        StatusCode::kInvalidArgument);
  ReportGoldenCases("tokenizer: bad input", 2);
}

}  // namespace
}  // namespace vlaserve
