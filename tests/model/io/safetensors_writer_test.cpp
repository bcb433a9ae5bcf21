#include <map>
#include <string>
#include <vector>

#include "model/io/safetensors.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Not in alphabetical order, and with names that JSON must escape.
std::vector<SafetensorsWriter::Declaration> Declarations() {
  return {{"z", DType::kU8, {2, 2}},
          {"empty", DType::kF64, {0, 3}},
          {"\"quoted\"\n\xc3\xa9", DType::kI16, {}},
          {"a", DType::kF32, {1}}};
}
const std::string kData("\x01\x02\x03\x04\x05\x00\x00\x00\x80\x3f", 10);

Status WriteAll(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(files, path, Declarations(), {{"format", "pt"}}));
  VLASERVE_RETURN_IF_ERROR(writer.Append(Bytes(kData.substr(0, 3))));
  VLASERVE_RETURN_IF_ERROR(writer.Append(Bytes(kData.substr(3))));
  return writer.Finish();
}

TEST_CASE("SafetensorsWriter: the reader gets back what was declared and appended") {
  const TempDir dir;
  const std::string path = dir.File("a.safetensors");
  REQUIRE(WriteAll(PosixFileSystem(), path).ok());
  const auto file = SafetensorsFile::Open(PosixFileSystem(), path);
  INFO(file.status().message());
  REQUIRE(file.ok());
  REQUIRE(file->tensors().size() == 4);
  CHECK(file->metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(file->Find("z")->ToInts() == std::vector<int64_t>{1, 2, 3, 4});
  CHECK(file->Find("z")->shape == std::vector<int64_t>{2, 2});
  CHECK(file->Find("empty")->shape == std::vector<int64_t>{0, 3});
  CHECK(file->Find("\"quoted\"\n\xc3\xa9")->ToInts() == std::vector<int64_t>{5});
  CHECK(file->Find("a")->ToFloats() == std::vector<float>{1});
}

TEST_CASE("SafetensorsWriter: the data section is aligned to 64 bytes") {
  const TempDir dir;
  for (size_t length = 1; length < 70; ++length) {
    const std::string path = dir.File("a.safetensors");
    auto writer = SafetensorsWriter::Create(PosixFileSystem(), path,
                                            {{std::string(length, 'n'), DType::kU8, {1}}}, {});
    REQUIRE(writer.ok());
    REQUIRE(writer->Append(Bytes("x")).ok());
    REQUIRE(writer->Finish().ok());
    const auto text = PosixFileSystem().Read(path, 10000);
    REQUIRE(text->size() % 64 == 1);
    REQUIRE(SafetensorsFile::Open(PosixFileSystem(), path).ok());
  }
}

TEST_CASE("SafetensorsWriter: missing and surplus bytes are errors, no file appears") {
  const TempDir dir;
  const std::string path = dir.File("a.safetensors");
  {
    auto writer = SafetensorsWriter::Create(PosixFileSystem(), path, Declarations(), {});
    REQUIRE(writer.ok());
    REQUIRE(writer->Append(Bytes(kData.substr(1))).ok());
    CHECK(writer->Finish().code() == StatusCode::kInternal);
    CHECK(writer->Append(Bytes("xy")).code() == StatusCode::kInternal);
  }
  CHECK(PosixFileSystem().List(dir.path())->empty());
}

TEST_CASE("SafetensorsWriter: declarations that no file can hold are refused") {
  const TempDir dir;
  const auto error_of = [&](std::vector<SafetensorsWriter::Declaration> declarations) {
    const auto writer =
        SafetensorsWriter::Create(PosixFileSystem(), dir.File("a"), std::move(declarations), {});
    CHECK(writer.status().code() == StatusCode::kInvalidArgument);
    return writer.status().message();
  };
  CHECK_THAT(error_of({{"a", DType::kU8, {1}}, {"a", DType::kU8, {1}}}),
             ContainsText("tensor \"a\"") && ContainsText("twice"));
  CHECK_THAT(error_of({{"__metadata__", DType::kU8, {1}}}), ContainsText("reserved"));
  CHECK_THAT(error_of({{"a", DType::kU8, {-1}}}), ContainsText("[-1]") && ContainsText("negative"));
  CHECK_THAT(error_of({{"a", DType::kF32, {int64_t{1} << 61}}}),
             ContainsText("larger than any file"));
  const int64_t half = int64_t{1} << 62;
  CHECK_THAT(error_of({{"a", DType::kU8, {half}},
                       {"b", DType::kU8, {half}},
                       {"c", DType::kU8, {half}},
                       {"d", DType::kU8, {half}}}),
             ContainsText("larger than any file"));
  CHECK(PosixFileSystem().List(dir.path())->empty());
}

TEST_CASE("SafetensorsWriter: a fault at any point leaves no file behind") {
  const TempDir dir;
  const std::string path = dir.File("a.safetensors");
  const TempDir other;
  FaultyFileSystem healthy(PosixFileSystem());
  REQUIRE(WriteAll(healthy, other.File("a.safetensors")).ok());
  REQUIRE(healthy.operations() == 5);  // create, header, two appends, commit
  for (size_t fault = 0; fault < healthy.operations(); ++fault) {
    FaultyFileSystem files(PosixFileSystem());
    files.FailFrom(fault);
    const Status status = WriteAll(files, path);
    CHECK(status.code() == StatusCode::kIo);
    CHECK_THAT(status.message(), ContainsText(path));
    CHECK(PosixFileSystem().List(dir.path())->empty());
  }
}

}  // namespace
}  // namespace vlaserve
