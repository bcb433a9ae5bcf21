#include "quant/pack/pack_file.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "model/io/hash.h"
#include "model/io/safetensors.h"
#include "tests/quant/pack/sample_packs.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

const std::string kManifest = "format 1\nlayer \"quoted\" \\ back\n";
const std::string kProvenance = R"({"layer": "a.b", "header_crc32c":"12345678"})";

Status Write(const std::string& path, const PackedLayer& pack) {
  return WritePackFile(PosixFileSystem(), path, pack, kManifest, kProvenance);
}

Result<PackFile> Read(const std::string& path, PackChecksums checksums = PackChecksums::kVerify) {
  VLASERVE_ASSIGN_OR_RETURN(auto file, PosixFileSystem().MapEntry(path));
  return ReadPackFile(std::move(file), path, checksums);
}

std::string ErrorOf(const std::string& path, PackChecksums checksums = PackChecksums::kVerify) {
  const auto file = Read(path, checksums);
  REQUIRE_FALSE(file.ok());
  CHECK(file.status().code() == StatusCode::kUnreadable);
  CHECK_THAT(file.status().message(), Catch::Matchers::StartsWith(path));
  return file.status().message();
}

std::string SourceFile(const std::string& name) {
  return std::string(VLASERVE_SOURCE_DIR) + "/tests/quant/pack/" + name;
}

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// To 64 bytes; an array that a pack does not have is.
bool AllAligned(const PackedLayer& pack) {
  const void* const arrays[] = {pack.codes.data(),     pack.scales_fp16.data(),
                                pack.scales.data(),    pack.zeros.data(),
                                pack.smooth.data(),    pack.permutation.data(),
                                pack.rotations.data(), pack.output_rotations.data()};
  return std::ranges::all_of(
      arrays, [](const void* array) { return reinterpret_cast<uintptr_t>(array) % 64 == 0; });
}

// `text` with `from`, which occurs once, replaced, and the header's checksum made right again.
std::string Forged(std::string text, const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  const std::string key = "\"header_crc32c\":\"";
  const size_t place = text.find(key) + key.size();
  text.replace(place, 8, "00000000");
  uint64_t length = 0;
  for (unsigned i = 0; i < 8; ++i) {
    length |= uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  }
  std::ostringstream hex;
  hex.width(8);
  hex.fill('0');
  hex << std::hex << Crc32c(std::as_bytes(std::span(text.data(), 8 + length)));
  return text.replace(place, 8, hex.str());
}

TEST_CASE("pack file: what is written is read back, for packs of every kind") {
  const TempDir dir;
  for (SamplePack& sample : SamplePacks()) {
    INFO(sample.name);
    const PackedLayer pack = ViewOf(std::move(sample.contents));
    const std::string path = dir.File(sample.name);
    REQUIRE(Write(path, pack).ok());
    const auto file = Read(path);
    REQUIRE(file.ok());
    CHECK(SamePack(file->layer, pack));
    CHECK(file->manifest == kManifest);
    CHECK(file->provenance == kProvenance);
    CHECK(PackBytes(file->layer) == PackBytes(pack));
  }
}

TEST_CASE("pack file: every array of a mapped file is aligned to 64 bytes") {
  const TempDir dir;
  for (SamplePack& sample : SamplePacks()) {
    INFO(sample.name);
    REQUIRE(Write(dir.File("pack"), ViewOf(std::move(sample.contents))).ok());
    const auto file = Read(dir.File("pack"));
    REQUIRE(file.ok());
    CHECK(AllAligned(file->layer));
  }
}

TEST_CASE("pack file: a layer read from it outlives everything else") {
  const TempDir dir;
  const PackedLayer pack = ViewOf(IntegerPack(64, 128, 5));
  REQUIRE(Write(dir.File("pack"), pack).ok());
  PackedLayer layer;
  {
    auto file = Read(dir.File("pack"));
    REQUIRE(file.ok());
    layer = file->layer;
  }
  REQUIRE(PosixFileSystem().Remove(dir.File("pack")).ok());
  CHECK(SamePack(layer, pack));
}

TEST_CASE("pack file: any safetensors reader opens it") {
  const TempDir dir;
  const std::string path = dir.File("pack");
  REQUIRE(Write(path, ViewOf(IntegerPack(3, 77, 6))).ok());
  const auto file = SafetensorsFile::Open(PosixFileSystem(), path);
  REQUIRE(file.ok());
  REQUIRE(file->Find("codes") != nullptr);
  CHECK(file->Find("codes")->shape == std::vector<int64_t>{1, 10, 2, 16, 4});
  CHECK(file->Find("scales_fp16")->shape == std::vector<int64_t>{1, 3, 32});
  CHECK(file->metadata().at("manifest") == kManifest);
}

// The file of PACK_FORMAT.md, written by the first release of format 2.
TEST_CASE("pack file: a file of format 2 is read and written byte for byte as ever") {
  const TempDir dir;
  const std::string path = SourceFile("format_2.safetensors");
  const auto file = Read(path);
  REQUIRE(file.ok());
  PackContents expected;
  expected.out_features = 2;
  expected.in_features = 8;
  expected.weight_bits = 4;
  expected.storage_bits = 4;
  expected.layout = PackLayout::kPanels;
  expected.codes.assign(128, 0x88);  // 0, twice
  const uint8_t codes[] = {0xc8, 0xd9, 0xea, 0xfb, 0x40, 0x51, 0x62, 0x73};
  std::copy(std::begin(codes), std::end(codes), expected.codes.begin());
  expected.scales_fp16.assign(32, 0);
  expected.scales_fp16[0] = 0x3c00;
  expected.scales_fp16[1] = 0x3800;
  expected.smooth = {1, 1, 2, 1, 1, 1, 0.5F, 1};
  expected.permutation = {0, 2, 4, 6, 1, 3, 5, 7};
  expected.rotate_in = RotateIn::kHadamard;
  expected.block = 8;
  CHECK(SamePack(file->layer, ViewOf(expected)));
  CHECK(file->provenance == R"({"layer":"demo"})");
  const std::string copy = dir.File("copy");
  REQUIRE(
      WritePackFile(PosixFileSystem(), copy, file->layer, file->manifest, file->provenance).ok());
  CHECK(Content(copy) == Content(path));
}

TEST_CASE("pack file: a file of format 1 is refused, and it is said why") {
  CHECK_THAT(ErrorOf(SourceFile("format_1.safetensors"), PackChecksums::kSkip),
             ContainsText("format version 1, expected 2: packs of other versions are not read"));
}

TEST_CASE("pack file: one changed byte, wherever it is, is noticed") {
  const TempDir dir;
  REQUIRE(Write(dir.File("pack"), ViewOf(IntegerPack(3, 77, 7))).ok());
  const std::string content = Content(dir.File("pack"));
  for (size_t i = 0; i < content.size(); ++i) {
    std::string damaged = content;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
    INFO("byte " << i << " of " << content.size());
    static_cast<void>(ErrorOf(dir.Write("damaged", damaged)));
  }
}

TEST_CASE("pack file: truncation and appended bytes, wherever they are, are noticed") {
  const TempDir dir;
  REQUIRE(Write(dir.File("pack"), ViewOf(IntegerPack(3, 77, 8))).ok());
  const std::string content = Content(dir.File("pack"));
  for (size_t size = 0; size < content.size(); size += 3) {
    INFO("cut to " << size << " of " << content.size());
    static_cast<void>(ErrorOf(dir.Write("damaged", content.substr(0, size)), PackChecksums::kSkip));
  }
  static_cast<void>(ErrorOf(dir.Write("damaged", content + '\0'), PackChecksums::kSkip));
}

TEST_CASE("pack file: another format version or layout, or no pack at all, is named") {
  const TempDir dir;
  REQUIRE(Write(dir.File("pack"), ViewOf(IntegerPack(3, 77, 9))).ok());
  const std::string content = Content(dir.File("pack"));
  CHECK_THAT(ErrorOf(dir.Write(
                 "a", Forged(content, "\"vlaserve_pack\":\"2\"", "\"vlaserve_pack\":\"3\""))),
             ContainsText("format version 3, expected 2"));
  CHECK_THAT(ErrorOf(dir.Write("a", Forged(content, "panels_32", "panels_16"))),
             ContainsText("layout is \"panels_16\", expected \"rows_nibble_low_first\""));
  CHECK_THAT(ErrorOf(dir.Write("a", Forged(content, "\"vlaserve_pack\"", "\"vlaserve_post\""))),
             ContainsText("metadata has no \"vlaserve_pack\""));
}

TEST_CASE("pack file: numbers that contradict the arrays are refused even with good checksums") {
  const TempDir dir;
  REQUIRE(Write(dir.File("pack"), ViewOf(IntegerPack(3, 77, 10))).ok());
  const std::string content = Content(dir.File("pack"));
  const auto error = [&](const std::string& from, const std::string& to) {
    return ErrorOf(dir.Write("a", Forged(content, from, to)));
  };
  CHECK_THAT(error("\"group\":\"32\"", "\"group\":\"16\""),
             ContainsText("scales_fp16 has 96 elements, expected 160"));
  CHECK_THAT(error("\"in_features\":\"77\"", "\"in_features\":\"81\""),
             ContainsText("codes has 1280 elements, expected 1408"));
  CHECK_THAT(error("\"in_features\":\"77\"", "\"in_features\":\"-7\""),
             ContainsText("shape 3 x -7 is that of no linear"));
  CHECK_THAT(error("\"block\":\"16\"", "\"block\":\"1x\""),
             ContainsText("block is \"1x\", expected an integer"));
  CHECK_THAT(error("\"block\":\"16\"", "\"block\":\"00\""), ContainsText("blocks of size 0"));
  CHECK_THAT(error("\"rotate_in\":\"hadamard\"", "\"rotate_in\":\"hadamerd\""),
             ContainsText("rotate_in is \"hadamerd\", expected \"off\", \"weight_svd\""));
  CHECK_THAT(error("\"scales_fp16\":{\"data", "\"scales_fp17\":{\"data"),
             ContainsText("tensor \"scales_fp17\" belongs to no pack"));
  CHECK_THAT(error("\"dtype\":\"F16\"", "\"dtype\":\"I16\""),
             ContainsText("scales_fp16 has element type I16, expected F16"));
  CHECK_THAT(error("\"shape\":[1,10,2,16,4]", "\"shape\":[2,10,1,16,4]"),
             ContainsText("codes has shape [2, 10, 1, 16, 4], expected [1, 10, 2, 16, 4]"));
  CHECK_THAT(error("\"storage_bits\":\"4\"", "\"storage_bits\":\"8\""),
             ContainsText("weights of 4 bits stored in 8 are no integer codes"));
  CHECK_THAT(error("\"weight_bits\":\"4\"", "\"weight_bits\":\"9\""),
             ContainsText("weights of 9 bits stored in 4 are no integer codes"));
  CHECK_THAT(error("\"weight_bits\":\"4\"", "\"weight_bits\":\"0\""),
             ContainsText("layout is \"panels_32\", expected \"rows_nibble_low_first\""));
}

TEST_CASE("pack file: a permutation that is none is refused even unverified") {
  const TempDir dir;
  PackContents contents = IntegerPack(2, 64, 11);
  for (int32_t i = 0; i < 64; ++i) contents.permutation.push_back(i);
  REQUIRE(Write(dir.File("pack"), ViewOf(contents)).ok());
  for (const int32_t wrong : {64, -1, 5}) {
    std::string content = Content(dir.File("pack"));
    const std::string last(reinterpret_cast<const char*>(&wrong), sizeof(wrong));
    content.replace(content.size() - last.size(), last.size(), last);
    CHECK_THAT(ErrorOf(dir.Write("a", content), PackChecksums::kSkip),
               ContainsText("permutation is none: element 63 is " + std::to_string(wrong)));
  }
}

TEST_CASE("pack file: arrays that do not fit are not written") {
  const TempDir dir;
  PackContents contents = IntegerPack(8, 64, 12);
  contents.scales_fp16.pop_back();
  const auto refusal = [&] {
    const Status status = Write(dir.File("pack"), ViewOf(contents));
    CHECK(status.code() == StatusCode::kInternal);
    CHECK(PosixFileSystem().List(dir.path())->empty());
    return status.message();
  };
  CHECK_THAT(refusal(), ContainsText("scales_fp16 has 63 elements, expected 64"));
  contents = IntegerPack(8, 64, 12);
  contents.layout = PackLayout::kRows;
  CHECK_THAT(refusal(),
             ContainsText("layout is \"rows_nibble_low_first\", expected \"panels_32\""));
  contents = IntegerPack(1, 65537, 12);
  CHECK_THAT(refusal(), ContainsText("at most 65536 columns, found 65537"));
  contents = IntegerPack(1, 65536, 12);
  CHECK(Write(dir.File("pack"), ViewOf(contents)).ok());
}

TEST_CASE("ViewOf: owns aligned copies of all arrays") {
  for (SamplePack& sample : SamplePacks()) {
    INFO(sample.name);
    const PackContents& contents = sample.contents;
    PackedLayer expected = ViewOf(contents);
    const PackedLayer pack = expected;
    expected.owner.reset();
    CHECK(AllAligned(pack));
    CHECK(pack.layout == contents.layout);
    CHECK(std::ranges::equal(pack.codes, contents.codes));
    CHECK(std::ranges::equal(pack.scales_fp16, contents.scales_fp16));
    CHECK(std::ranges::equal(pack.rotations, contents.rotations));
    CHECK(std::ranges::equal(pack.permutation, contents.permutation));
  }
}

}  // namespace
}  // namespace vlaserve
