#include <string>
#include <vector>

#include "model/io/safetensors.h"
#include "tests/model/io/safetensors_bytes.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

// One U8 tensor of one element.
std::string Shard(const std::string& tensor, char value, const std::string& metadata) {
  return SafetensorsBytes(R"({"__metadata__": )" + metadata + ", \"" + tensor +
                              R"(": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})",
                          std::string(1, value));
}

class Sharded {
 public:
  Sharded() {
    dir_.Write("model-1.safetensors", Shard("a", 1, R"({"format": "pt", "alias": "a"})"));
    dir_.Write("model-2.safetensors", Shard("b", 2, R"({"format": "np"})"));
  }

  Result<SafetensorsFile> Open(const std::string& index) {
    return SafetensorsFile::OpenSharded(PosixFileSystem(),
                                        dir_.Write("model.safetensors.index.json", index));
  }

  std::string ErrorOf(const std::string& weight_map) {
    const auto file = Open(R"({"weight_map": )" + weight_map + "}");
    REQUIRE_FALSE(file.ok());
    return file.status().message();
  }

  const TempDir& dir() const { return dir_; }

 private:
  TempDir dir_;
};

TEST_CASE_METHOD(Sharded, "OpenSharded: gathers the tensors of all shards") {
  const auto file = Open(R"({"metadata": {"total_size": 2},)"
                         R"( "weight_map": {"a": "model-1.safetensors",)"
                         R"( "b": "model-2.safetensors"}})");
  REQUIRE(file.ok());
  CHECK(file->tensors().size() == 2);
  CHECK(file->Find("a")->ToInts() == std::vector<int64_t>{1});
  CHECK(file->Find("b")->ToInts() == std::vector<int64_t>{2});
  CHECK(file->metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"alias", "a"}});
  file->Release(*file->Find("b"));
  CHECK(file->Find("b")->ToInts() == std::vector<int64_t>{2});
}

TEST_CASE_METHOD(Sharded, "OpenSharded: index and shards must agree") {
  CHECK_THAT(ErrorOf(R"({"a": "model-1.safetensors", "b": "model-1.safetensors"})"),
             ContainsText("tensor \"b\" is not in model-1.safetensors"));
  CHECK_THAT(
      ErrorOf(R"({"c": "model-2.safetensors"})"),
      ContainsText("tensor \"b\" is in model-2.safetensors, but weight_map does not list it"));
  CHECK_THAT(ErrorOf(R"({"a": "model-2.safetensors", "b": "model-1.safetensors"})"),
             ContainsText("tensor \"a\" is in model-1.safetensors, but weight_map says model-2"));
}

TEST_CASE_METHOD(Sharded, "OpenSharded: a tensor in two shards is refused") {
  dir().Write("model-3.safetensors", Shard("a", 3, "{}"));
  const std::string two_shards =
      R"({"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-3.safetensors"})";
  CHECK_THAT(ErrorOf(two_shards),
             ContainsText("tensor \"a\" is in model-3.safetensors, but weight_map says model-1"));
}

TEST_CASE_METHOD(Sharded, "OpenSharded: a missing shard is named") {
  const auto file = Open(R"({"weight_map": {"a": "model-9.safetensors"}})");
  CHECK(file.status().code() == StatusCode::kNotFound);
  CHECK_THAT(file.status().message(), ContainsText("model-9.safetensors"));
}

TEST_CASE_METHOD(Sharded, "OpenSharded: shards are files of the same directory") {
  for (const char* name : {"../model-1.safetensors", "/etc/passwd", "sub/x", ""}) {
    CHECK_THAT(ErrorOf(R"({"a": ")" + std::string(name) + "\"}"),
               ContainsText("not the name of a file in the same directory"));
  }
}

TEST_CASE_METHOD(Sharded, "OpenSharded: malformed indices") {
  for (const char* index : {"[]", "{}", R"({"weight_map": []})"}) {
    const auto file = Open(index);
    CHECK(file.status().code() == StatusCode::kUnreadable);
    CHECK_THAT(file.status().message(), ContainsText("has no object \"weight_map\""));
  }
  CHECK_THAT(ErrorOf("{}"), ContainsText("lists no tensors"));
  CHECK_THAT(ErrorOf(R"({"a": 1})"), ContainsText("\"a\": not a string"));
  CHECK_THAT(ErrorOf(R"({"a": "model-1.safetensors", "a": "model-1.safetensors"})"),
             ContainsText("duplicate key /weight_map/a"));
}

TEST_CASE("OpenSharded: an index without a directory in its path") {
  const auto file = SafetensorsFile::OpenSharded(PosixFileSystem(), "no-such-index.json");
  CHECK(file.status().code() == StatusCode::kNotFound);
}

}  // namespace
}  // namespace vlaserve
