#include "model/transforms/tokenizer.h"

#include <chrono>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/hash.h"
#include "tests/model/transforms/golden_text.h"
#include "tests/model/transforms/sentencepiece_bytes.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

using Ids = std::vector<int32_t>;

std::string GoldenModelBytes() {
  auto bytes = PosixFileSystem().Read(GoldenPath("tokenizer/tokenizer.model"), size_t{1} << 26);
  INFO(bytes.status().message());
  REQUIRE(bytes.ok());
  return std::move(bytes).value();
}

Tokenizer ParseOrFail(const std::string& model) {
  auto tokenizer = Tokenizer::Parse(model, "tokenizer.model");
  INFO(tokenizer.status().message());
  REQUIRE(tokenizer.ok());
  return std::move(tokenizer).value();
}

// Ids from 4 on: "a", "b", "c", "d", "ab", "bc", "cd", "abc", then `more`.
std::string SmallModel(const std::string& more = "", bool byte_fallback = false) {
  std::string pieces = SpecialPieces();
  for (const char* character : {"a", "b", "c", "d"}) {
    pieces += PieceField(character, -10, PieceType::kNormal);
  }
  pieces += PieceField("ab", -2, PieceType::kNormal) + PieceField("bc", -1, PieceType::kNormal) +
            PieceField("cd", -1, PieceType::kNormal) + PieceField("abc", -3, PieceType::kNormal);
  return pieces + more + BpeTrainerSpec(byte_fallback) + IdentityNormalizerSpec();
}

TEST_CASE("golden: token ids are SentencePiece's", "[tokenizer]") {
  const nlohmann::json golden = ReadGoldenJson("tokenizer/cases.json");
  const std::string model = GoldenModelBytes();
  CHECK(Sha256Hex(model) == golden.at("model_sha256").get<std::string>());
  const Tokenizer tokenizer = ParseOrFail(model);
  CHECK(tokenizer.vocab_size() == golden.at("vocab_size").get<int64_t>());
  const auto& trainer = golden.at("trainer_spec");
  CHECK(tokenizer.bos_id() == trainer.at("bos_id").get<int32_t>());
  CHECK(tokenizer.eos_id() == trainer.at("eos_id").get<int32_t>());
  CHECK(tokenizer.pad_id() == trainer.at("pad_id").get<int32_t>());
  CHECK(tokenizer.unk_id() == trainer.at("unk_id").get<int32_t>());
  CHECK(tokenizer.Encode("\n") == Ids{golden.at("newline_id").get<int32_t>()});
  size_t cases = 0;
  for (const auto& expected : golden.at("cases")) {
    const std::string hex = expected.at("utf8_hex").get<std::string>();
    CAPTURE(hex);
    CHECK(tokenizer.Encode(FromHex(hex)) == expected.at("ids").get<Ids>());
    ++cases;
  }
  ReportGoldenCases("tokenizer", cases);
}

TEST_CASE("golden: bytes that are not UTF-8 become U+FFFD", "[tokenizer]") {
  const Tokenizer tokenizer = ParseOrFail(GoldenModelBytes());
  size_t cases = 0;
  const nlohmann::json golden = ReadGoldenJson("tokenizer/cases.json");
  for (const auto& expected : golden.at("raw_bytes_cases")) {
    const std::string hex = expected.at("bytes_hex").get<std::string>();
    CAPTURE(hex);
    CHECK(tokenizer.Encode(FromHex(hex)) == expected.at("ids").get<Ids>());
    ++cases;
  }
  ReportGoldenCases("tokenizer: raw_bytes_cases", cases);
}

TEST_CASE("golden: a damaged model is an error or a tokenizer, never a crash", "[tokenizer]") {
  const std::string model = GoldenModelBytes();
  std::mt19937_64 random(1);
  size_t refused = 0;
  constexpr size_t kMutations = 400;
  for (size_t i = 0; i < kMutations; ++i) {
    std::string damaged = model;
    if (i % 4 == 0) damaged.resize(random() % model.size());
    for (size_t flips = i % 3 + 1; flips > 0 && !damaged.empty(); --flips) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const auto tokenizer = Tokenizer::Parse(damaged, "damaged.model");
    if (tokenizer.ok()) {
      CHECK(tokenizer->Encode("pick up the bowl\n<loc0000> \xff").size() > 0);
    } else {
      ++refused;
      CHECK_THAT(tokenizer.status().message(), ContainsText("damaged.model: "));
    }
  }
  CHECK(refused > kMutations / 8);  // most of the truncated ones at least
  ReportGoldenCases("tokenizer: damaged models", kMutations);
}

TEST_CASE("the pair of highest score is merged first, the leftmost of equals", "[tokenizer]") {
  const Tokenizer tokenizer = ParseOrFail(SmallModel());
  CHECK(tokenizer.Encode("ab") == Ids{8});
  CHECK(tokenizer.Encode("abc") == Ids{11});    // bc, then abc
  CHECK(tokenizer.Encode("bcd") == Ids{9, 7});  // bc and cd are equals
  CHECK(tokenizer.Encode("abcd") == Ids{11, 7});
  CHECK(tokenizer.Encode("").empty());
}

TEST_CASE("control and unknown pieces are never matched in text", "[tokenizer]") {
  const std::string more = PieceField("z", 0, PieceType::kControl);
  CHECK(ParseOrFail(SmallModel(more)).Encode("z") == Ids{3});
  CHECK(ParseOrFail(SmallModel(more)).Encode("<unk>") == Ids{3});
}

TEST_CASE("without byte fallback a run of unknown characters is one id", "[tokenizer]") {
  const Tokenizer tokenizer = ParseOrFail(SmallModel());
  CHECK(tokenizer.Encode("a\xc3\xa9 xyb??") == Ids{4, 3, 5, 3});
}

TEST_CASE("with byte fallback unknown characters become their bytes", "[tokenizer]") {
  const Tokenizer tokenizer = ParseOrFail(SmallModel(BytePieces(), true));
  CHECK(tokenizer.Encode("a\xc3\xa9") == Ids{4, 12 + 0xC3, 12 + 0xA9});
  CHECK(tokenizer.Encode("\xff") == Ids{12 + 0xEF, 12 + 0xBF, 12 + 0xBD});
  CHECK(tokenizer.Encode("<0x41>") ==
        Ids{12 + '<', 12 + '0', 12 + 'x', 12 + '4', 12 + '1', 12 + '>'});
}

TEST_CASE("user-defined pieces match first, the longest of them, and never merge", "[tokenizer]") {
  const Tokenizer tokenizer = ParseOrFail(SmallModel(
      PieceField("bb", 0, PieceType::kUserDefined) +
      PieceField("bbcd", 0, PieceType::kUserDefined) + PieceField("abb", 9, PieceType::kNormal)));
  CHECK(tokenizer.Encode("abbc") == Ids{4, 12, 6});  // not abb + c
  CHECK(tokenizer.Encode("bbcd") == Ids{13});
  CHECK(tokenizer.Encode("bbbcd") == Ids{12, 9, 7});  // bb from the left
}

TEST_CASE("unused pieces fall apart into what they were merged from", "[tokenizer]") {
  const std::string more =
      PieceField("abcd", 5, PieceType::kUnused) + PieceField("e", 0, PieceType::kUnused);
  const Tokenizer tokenizer = ParseOrFail(SmallModel(more));
  CHECK(tokenizer.Encode("abcd") == Ids{11, 7});
  CHECK(tokenizer.Encode("e") == Ids{3});
}

TEST_CASE("long texts take time in proportion to their length", "[tokenizer]") {
  const std::string more = PieceField("aa", -1, PieceType::kNormal) +
                           PieceField("aaaa", -2, PieceType::kNormal) +
                           PieceField("aaab", 0, PieceType::kUserDefined);
  const Tokenizer tokenizer = ParseOrFail(SmallModel(more));
  const auto start = std::chrono::steady_clock::now();
  CHECK(tokenizer.Encode(std::string(size_t{1} << 20, 'a')).size() == size_t{1} << 18);
  CHECK(tokenizer.Encode(std::string(size_t{1} << 20, '\xff')).size() == 1);
  // Quadratic time would be hours; seconds are far from both.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(60));
}

TEST_CASE("a vocabulary of PaliGemma's size is read completely", "[tokenizer]") {
  constexpr int32_t kPieces = 257152;
  std::string model = SpecialPieces() + BytePieces();
  for (int32_t id = 260; id < kPieces; ++id) {
    model += PieceField(std::string("word").append(std::to_string(id)), static_cast<float>(-id),
                        PieceType::kNormal);
  }
  const Tokenizer tokenizer = ParseOrFail(model + BpeTrainerSpec(true) + IdentityNormalizerSpec());
  CHECK(tokenizer.vocab_size() == kPieces);
  CHECK(tokenizer.Encode("w") == Ids{4 + 'w'});
}

TEST_CASE("models out of scope are refused by the option's name", "[tokenizer]") {
  const auto refuse = [](const std::string& model, const std::string& message) {
    const auto tokenizer = Tokenizer::Parse(model, "m.model");
    CHECK(tokenizer.status().code() == StatusCode::kUnsupported);
    CHECK_THAT(tokenizer.status().message(), ContainsText(message));
  };
  // Later fields win, as in protobuf.
  refuse(SmallModel() + BytesField(2, VarintField(3, 1)), "model_type is 1 (unigram)");
  refuse(SmallModel() + BytesField(2, VarintField(3, 3)), "model_type is 3 (word)");
  refuse(SmallModel() + BytesField(2, VarintField(3, 4)), "model_type is 4 (char)");
  refuse(SmallModel() + BytesField(3, BytesField(2, "table")), "precompiled_charsmap");
  refuse(SmallModel() + BytesField(3, VarintField(3, 1)), "add_dummy_prefix is true");
  refuse(SmallModel() + BytesField(3, VarintField(4, 1)), "remove_extra_whitespaces is true");
  refuse(SmallModel() + BytesField(3, VarintField(5, 0)), "escape_whitespaces is false");
  // SentencePiece's defaults are out of scope, too.
  refuse(SpecialPieces() + IdentityNormalizerSpec(), "model_type is 1 (unigram)");
  refuse(SpecialPieces() + BpeTrainerSpec(false), "add_dummy_prefix is true");
}

TEST_CASE("contradicting models are refused with byte and piece", "[tokenizer]") {
  const auto refuse = [](const std::string& model, const std::string& message) {
    const auto tokenizer = Tokenizer::Parse(model, "m.model");
    CHECK(tokenizer.status().code() == StatusCode::kUnreadable);
    CHECK_THAT(tokenizer.status().message(), ContainsText("m.model: " + message));
  };
  const std::string tail = BpeTrainerSpec(false) + IdentityNormalizerSpec();
  const auto with = [&](std::string_view text, PieceType type) {
    return SpecialPieces() + PieceField(text, 0, type) + tail;
  };
  const std::string at = "byte " + std::to_string(SpecialPieces().size()) + ": piece 4 ";
  refuse("", "no pieces found");
  refuse(tail, "no pieces found");
  refuse(with("", PieceType::kNormal), at + "is empty");
  refuse(with("\xff", PieceType::kNormal), at + "is not valid UTF-8");
  refuse(with("<pad>", PieceType::kControl), at + "is defined twice: <pad>");
  refuse(with("<unk2>", PieceType::kUnknown), at + "is a second unknown piece");
  refuse(with("<0x00>", PieceType::kByte), at + "is a byte piece");
  refuse(SpecialPieces() + BpeTrainerSpec(true) + IdentityNormalizerSpec(),
         "trainer_spec.byte_fallback is true, but there is no byte piece <0x00>");
  refuse(PieceField("<bos>", 0, PieceType::kControl) + tail, "the model has no unknown piece");
  refuse(PieceField("<unk>", 0, PieceType::kUnknown) + tail, "the model has no control piece");
}

}  // namespace
}  // namespace vlaserve
