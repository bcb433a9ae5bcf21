#include "model/io/safetensors.h"

#include <string>
#include <vector>

#include "model/io/safetensors_header.h"
#include "tests/model/io/safetensors_bytes.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/golden.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

const char* const kValidHeader =
    R"({"__metadata__": {"format": "pt"},)"
    R"( "b": {"dtype": "F32", "shape": [2], "data_offsets": [6, 14]},)"
    R"( "a": {"dtype": "I16", "shape": [3, 1], "data_offsets": [0, 6]},)"
    R"( "empty": {"dtype": "F64", "shape": [4, 0], "data_offsets": [6, 6]},)"
    R"( "scalar": {"dtype": "U8", "shape": [], "data_offsets": [14, 15]}})";
const std::string kValidData("\x01\x00\x02\x00\xff\xff\x00\x00\x80\x3f\x00\x00\x00\xc0\x07", 15);

// The message of the failure to open a file of these bytes, without the path.
std::string ErrorOf(const std::string& bytes) {
  const TempDir dir;
  const std::string path = dir.Write("a.safetensors", bytes);
  const auto file = SafetensorsFile::Open(PosixFileSystem(), path);
  REQUIRE_FALSE(file.ok());
  CHECK(file.status().code() == StatusCode::kUnreadable);
  REQUIRE_THAT(file.status().message(), Catch::Matchers::StartsWith(path + ": "));
  return file.status().message().substr(path.size() + 2);
}

// A file with the one tensor "t" of the given entry and `size` bytes of data.
std::string ErrorOfEntry(const std::string& entry, size_t size = 4) {
  return ErrorOf(SafetensorsBytes(R"({"t": )" + entry + "}", std::string(size, '\0')));
}

std::string Tensor(const std::string& name, size_t begin, size_t end) {
  return "\"" + name + R"(": {"dtype": "U8", "shape": [)" + std::to_string(end - begin) +
         R"(], "data_offsets": [)" + std::to_string(begin) + ", " + std::to_string(end) + "]}";
}

std::string Object(std::string entries) {
  entries.insert(entries.begin(), '{');
  entries.push_back('}');
  return entries;
}

std::string ErrorOfEntries(const std::string& entries, size_t size) {
  return ErrorOf(SafetensorsBytes(Object(entries), std::string(size, '\0')));
}

TEST_CASE("SafetensorsFile: reads names, types, shapes and values") {
  const TempDir dir;
  const std::string path = dir.Write("a.safetensors", SafetensorsBytes(kValidHeader, kValidData));
  const auto file = SafetensorsFile::Open(PosixFileSystem(), path);
  REQUIRE(file.ok());
  CHECK(file->path() == path);
  CHECK(file->tensors().size() == 4);
  CHECK(file->metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  REQUIRE(file->Find("a") != nullptr);
  CHECK(file->Find("a")->dtype == DType::kI16);
  CHECK(file->Find("a")->shape == std::vector<int64_t>{3, 1});
  CHECK(file->Find("a")->ToInts() == std::vector<int64_t>{1, 2, -1});
  CHECK(file->Find("b")->ToFloats() == std::vector<float>{1, -2});
  CHECK(file->Find("empty")->numel() == 0);
  CHECK(file->Find("scalar")->numel() == 1);
  CHECK(file->Find("scalar")->ToInts() == std::vector<int64_t>{7});
  CHECK(file->Find("c") == nullptr);
}

TEST_CASE("SafetensorsFile: views stay valid when the file object moves, pages may be released") {
  const TempDir dir;
  const std::string data(1 << 20, 'x');
  const std::string path =
      dir.Write("a.safetensors", SafetensorsBytes(Object(Tensor("t", 0, data.size())), data));
  auto opened = SafetensorsFile::Open(PosixFileSystem(), path);
  REQUIRE(opened.ok());
  const SafetensorsFile file = std::move(opened).value();
  file.Release(*file.Find("t"));
  file.Release(TensorView{});  // of no file: nothing happens
  const auto bytes = file.Find("t")->bytes;
  CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == data);
}

TEST_CASE("SafetensorsFile: an empty header and header padding are valid") {
  const TempDir dir;
  for (const char* header : {"{}", "{}      ", R"({"__metadata__": {}})"}) {
    const std::string path = dir.Write("a.safetensors", SafetensorsBytes(header, ""));
    const auto file = SafetensorsFile::Open(PosixFileSystem(), path);
    REQUIRE(file.ok());
    CHECK(file->tensors().empty());
  }
}

TEST_CASE("SafetensorsFile: every truncation is an error") {
  const TempDir dir;
  const std::string bytes = SafetensorsBytes(kValidHeader, kValidData);
  const std::string path = dir.Write("a.safetensors", bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    FaultyFileSystem files(PosixFileSystem());
    files.Truncate(path, size);
    INFO(size);
    const auto file = SafetensorsFile::Open(files, path);
    REQUIRE(file.status().code() == StatusCode::kUnreadable);
  }
}

TEST_CASE("SafetensorsFile: an inverted byte of the header is an error or changes a name only") {
  const TempDir dir;
  const std::string bytes = SafetensorsBytes(kValidHeader, kValidData);
  const std::string path = dir.Write("a.safetensors", bytes);
  for (size_t offset = 0; offset < bytes.size() - kValidData.size(); ++offset) {
    FaultyFileSystem files(PosixFileSystem());
    files.FlipByte(path, offset);
    INFO(offset);
    // Inverting an ASCII byte gives one above 0x7F: never valid UTF-8 on its own.
    REQUIRE(SafetensorsFile::Open(files, path).status().code() == StatusCode::kUnreadable);
  }
}

TEST_CASE("SafetensorsFile: header length") {
  CHECK_THAT(ErrorOf(""), ContainsText("file of 0 bytes"));
  CHECK_THAT(ErrorOf("1234567"), ContainsText("file of 7 bytes"));
  CHECK_THAT(ErrorOf(std::string(8, '\0')), ContainsText("does not begin with '{'"));
  CHECK_THAT(ErrorOf(std::string("\x03\0\0\0\0\0\0\0{}", 10)), ContainsText("truncated"));
  // 100,000,001, and the largest of all.
  CHECK_THAT(ErrorOf(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)),
             ContainsText("100000001") && ContainsText("limit"));
  CHECK_THAT(ErrorOf(std::string(8, '\xff') + "{}"), ContainsText("limit"));
  CHECK_THAT(ErrorOf("PK\x03\x04" + std::string(100, 'x')), ContainsText("not a safetensors file"));
}

TEST_CASE("SafetensorsFile: the header is a strict JSON object") {
  CHECK_THAT(ErrorOf(SafetensorsBytes("[]", "")), ContainsText("does not begin with '{'"));
  CHECK_THAT(ErrorOf(SafetensorsBytes(" {}", "")), ContainsText("does not begin with '{'"));
  CHECK_THAT(ErrorOf(SafetensorsBytes("{", "")), ContainsText("header: not valid JSON"));
  CHECK_THAT(ErrorOf(SafetensorsBytes("{}x", "")), ContainsText("line 1, column 3"));
  CHECK_THAT(ErrorOf(SafetensorsBytes("{\"\xff\": 1}", "")), ContainsText("UTF-8"));
}

TEST_CASE("SafetensorsFile: duplicate names are refused") {
  CHECK_THAT(ErrorOfEntries(Tensor("t", 0, 2) + ", " + Tensor("t", 2, 4), 4),
             ContainsText("duplicate key /t"));
  CHECK_THAT(ErrorOf(SafetensorsBytes(R"({"__metadata__": {"a": "1", "a": "1"}})", "")),
             ContainsText("duplicate key /__metadata__/a"));
}

TEST_CASE("SafetensorsFile: metadata maps strings to strings") {
  CHECK_THAT(ErrorOf(SafetensorsBytes(R"({"__metadata__": 1})", "")), ContainsText("__metadata__"));
  CHECK_THAT(ErrorOf(SafetensorsBytes(R"({"__metadata__": {"k": 1}})", "")),
             ContainsText("\"k\" is not a string"));
}

TEST_CASE("SafetensorsFile: entries have exactly dtype, shape and data_offsets") {
  CHECK_THAT(ErrorOfEntry("3"), ContainsText("tensor \"t\": not an object"));
  CHECK_THAT(ErrorOfEntry("{}"), ContainsText("has no dtype"));
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "data_offsets": [0, 4]})"),
             ContainsText("has no shape"));
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": [1]})"),
             ContainsText("has no data_offsets"));
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "x": 0})"),
             ContainsText("unknown key \"x\""));
}

TEST_CASE("SafetensorsFile: unknown element types are named") {
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]})"),
             ContainsText("tensor \"t\"") && ContainsText("F8_E4M3") && ContainsText("BF16"));
  CHECK_THAT(ErrorOfEntry(R"({"dtype": 3, "shape": [1], "data_offsets": [0, 4]})"),
             ContainsText("dtype is not a string"));
}

TEST_CASE("SafetensorsFile: shapes are arrays of non-negative integers") {
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": 1, "data_offsets": [0, 4]})"),
             ContainsText("shape is not an array"));
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[null]", "[[1]]", "[9223372036854775808]",
                            "[100000000000000000000]"}) {
    CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": )" + std::string(shape) +
                            R"(, "data_offsets": [0, 4]})"),
               ContainsText("not an integer of 0 to 2^63 - 1"));
  }
}

TEST_CASE("SafetensorsFile: shapes whose product overflows are refused") {
  // Products that wrap around to the 4 bytes that are there, or to 0.
  for (const char* shape :
       {"[4611686018427387905]", "[4294967296, 4294967296]",
        "[9223372036854775807, 9223372036854775807]", "[4294967296, 4294967296, 0]"}) {
    CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": )" + std::string(shape) +
                            R"(, "data_offsets": [0, 4]})"),
               ContainsText("larger than any file"));
  }
}

TEST_CASE("SafetensorsFile: offsets are two integers that hold the shape") {
  for (const char* offsets : {"4", "[4]", "[0, 4, 8]", "[-4, 0]", "[0.0, 4]", "[\"0\", 4]"}) {
    CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": [1], "data_offsets": )" +
                            std::string(offsets) + "}"),
               ContainsText("data_offsets are not two non-negative integers"));
  }
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]})"),
             ContainsText("do not hold F32 [2], expected 8 bytes"));
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]})"),
             ContainsText("expected 4 bytes"));
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "U8", "shape": [0], "data_offsets": [0, 4]})"),
             ContainsText("expected 0 bytes"));
}

TEST_CASE("SafetensorsFile: tensors end inside the file") {
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})"),
             ContainsText("ends at byte 8 of a data section of 4 bytes"));
  CHECK_THAT(ErrorOfEntry(R"({"dtype": "U8", "shape": [1],)"
                          R"( "data_offsets": [18446744073709551614, 18446744073709551615]})"),
             ContainsText("data section of 4 bytes"));
}

TEST_CASE("SafetensorsFile: no holes, no overlaps, nothing left over") {
  CHECK_THAT(
      ErrorOfEntries(Tensor("a", 0, 4) + ", " + Tensor("b", 5, 8), 8),
      ContainsText("tensor \"b\": begins at byte 5") && ContainsText("from 4 belong to no tensor"));
  CHECK_THAT(ErrorOfEntries(Tensor("a", 1, 8), 8), ContainsText("from 0 belong to no tensor"));
  CHECK_THAT(ErrorOfEntries(Tensor("a", 0, 5) + ", " + Tensor("b", 4, 8), 8),
             ContainsText("tensor \"b\"") && ContainsText("overlap"));
  CHECK_THAT(ErrorOfEntries(Tensor("a", 0, 8) + ", " + Tensor("b", 0, 8), 8),
             ContainsText("overlap"));
  CHECK_THAT(ErrorOfEntries(Tensor("a", 0, 8) + ", " + Tensor("empty", 4, 4), 8),
             ContainsText("overlap"));
  CHECK_THAT(ErrorOfEntries(Tensor("a", 0, 7), 8),
             ContainsText("data section of 8 bytes, but its tensors end at byte 7"));
  CHECK_THAT(ErrorOf(SafetensorsBytes("{}", "x")), ContainsText("tensors end at byte 0"));
}

TEST_CASE("SafetensorsFile: a missing file is kNotFound") {
  const TempDir dir;
  const auto file = SafetensorsFile::Open(PosixFileSystem(), dir.File("none.safetensors"));
  CHECK(file.status().code() == StatusCode::kNotFound);
}

TEST_CASE("SafetensorsFile: opens every golden checkpoint") {
  size_t opened = 0;
  const auto folders = PosixFileSystem().List(GoldenDir());
  REQUIRE(folders.ok());
  for (const std::string& folder : *folders) {
    const std::string name = folder + "/model.safetensors";
    if (!HasGolden(name)) continue;
    const SafetensorsFile file = OpenGoldenTensors(name);
    size_t bytes = 0;
    for (const auto& [tensor, view] : file.tensors()) bytes += view.bytes.size();
    INFO(name);
    CHECK(bytes > 0);
    ++opened;
  }
  ReportGoldenCases("safetensors checkpoints", opened);
}

}  // namespace
}  // namespace vlaserve
