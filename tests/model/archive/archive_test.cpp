#include "model/archive/archive.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/model/archive/policy_archives.h"
#include "tests/model/archive/zip_files.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

using Changes = std::map<std::string, std::optional<std::string>>;

std::string Failure(FileSystem& files, const std::string& path) {
  const auto archive = Archive::Open(files, path);
  REQUIRE_FALSE(archive.ok());
  CHECK(archive.status().code() == StatusCode::kUnreadable);
  CHECK_THAT(archive.status().message(), ContainsText(path));
  return archive.status().message();
}

std::string FailureWith(const Changes& changes) {
  const TempDir dir;
  return Failure(PosixFileSystem(),
                 dir.Write("changed.pt", ChangeRecords(TinyArchive(PolicyType::kPi0), changes)));
}

std::string FailureOf(const std::string& content) {
  const TempDir dir;
  return Failure(PosixFileSystem(), dir.Write("file.pt", content));
}

// Record `name` of the π0 archive with the first `from` replaced.
std::string Edited(const std::string& name, const std::string& from, const std::string& to) {
  std::string content = RecordContent(TinyArchive(PolicyType::kPi0), name);
  REQUIRE(content.find(from) != std::string::npos);
  return content.replace(content.find(from), from.size(), to);
}

TEST_CASE("archive: an exported policy opens and its digests agree") {
  for (const PolicyType type : {PolicyType::kPi0, PolicyType::kPi05}) {
    const auto archive = Archive::Open(PosixFileSystem(), TinyArchive(type));
    INFO(archive.status().message());
    REQUIRE(archive.ok());
    const Archive& a = **archive;
    CHECK(a.path() == TinyArchive(type));
    CHECK(a.geometry().type == type);
    CHECK(a.settings().horizon == a.geometry().horizon);
    CHECK(a.linears().size() == ReferenceLinears(a.geometry()).size());
    CHECK(a.digests().size() == ExpectedTensors(a.geometry()).size() + 1);
    CHECK(a.archive_sha256().size() == 64);
    CHECK_FALSE(a.tokenizer_model().empty());
    CHECK(a.tokenizer_model() == RecordContent(a.path(), "extra/tokenizer.model"));
    CHECK_FALSE(a.norm_stats().state.mean.empty());
    CHECK(a.methods().size() == (type == PolicyType::kPi0 ? 9u : 8u));
    CHECK(a.file_bytes() == ReadBytes(a.path()).size());
    CHECK(a.Verify().empty());
    a.ReleasePages("action_in_proj.weight");
    CHECK(a.Verify().empty());
  }
}

TEST_CASE("archive: a flipped weight byte is found by Verify and named") {
  const std::string& path = TinyArchive(PolicyType::kPi0);
  const auto zip = OpenZip(ReadBytes(path));
  REQUIRE(zip.ok());
  std::set<std::string> named;
  size_t tried = 0;
  for (const ZipRecord& record : zip->records()) {
    if (record.name.find("/data/") == std::string::npos || record.bytes == 0) continue;
    if (++tried % 8 != 1) continue;
    FaultyFileSystem files(PosixFileSystem());
    files.FlipByte(path, record.offset + record.bytes / 2);
    const auto archive = Archive::Open(files, path);
    INFO(record.name << ": " << archive.status().message());
    REQUIRE(archive.ok());
    const std::vector<std::string> differences = (*archive)->Verify();
    REQUIRE(differences.size() == 1);
    CHECK_THAT(differences.front(), ContainsText("tensor ") && ContainsText("SHA-256 is"));
    named.insert(differences.front().substr(0, differences.front().find(':')));
  }
  CHECK(named.size() == (tried + 7) / 8);
  CHECK(named.size() > 5);
}

TEST_CASE("archive: a flipped byte anywhere else is refused, found or without effect") {
  const std::string& path = TinyArchive(PolicyType::kPi0);
  const auto zip = OpenZip(ReadBytes(path));
  REQUIRE(zip.ok());
  const size_t size = ReadBytes(path).size();
  const auto intact = Archive::Open(PosixFileSystem(), path);
  REQUIRE(intact.ok());
  // Bytes in every record that is no tensor, around every header, and through the directory.
  std::set<size_t> bytes;
  uint64_t data_end = 0;
  size_t data_records = 0;
  for (const ZipRecord& record : zip->records()) {
    data_end = std::max(data_end, record.offset + record.stored_bytes);
    const bool tensor = record.name.find("/data/") != std::string::npos;
    if (tensor && ++data_records % 40 != 0) continue;
    for (const size_t before : {1, 20, 40}) bytes.insert(record.offset - before);
    if (tensor) continue;
    for (size_t i = 0; i < 12; ++i) bytes.insert(record.offset + i * record.stored_bytes / 12);
  }
  for (size_t at = data_end; at < size; at += (size - data_end) / 150 + 1) bytes.insert(at);
  for (size_t back = 1; back <= 100; ++back) bytes.insert(size - back);

  size_t refused = 0;
  for (const size_t at : bytes) {
    FaultyFileSystem files(PosixFileSystem());
    files.FlipByte(path, at);
    const auto archive = Archive::Open(files, path);
    INFO("byte " << at << ": " << archive.status().message());
    if (!archive.ok()) {
      ++refused;
      CHECK(archive.status().code() == StatusCode::kUnreadable);
      CHECK_THAT(archive.status().message(), ContainsText(path));
      continue;
    }
    const bool same = (*archive)->settings() == (*intact)->settings() &&
                      (*archive)->geometry() == (*intact)->geometry() &&
                      (*archive)->methods() == (*intact)->methods() &&
                      (*archive)->tokenizer_model() == (*intact)->tokenizer_model() &&
                      (*archive)->archive_sha256() == (*intact)->archive_sha256();
    CHECK((same || !(*archive)->Verify().empty()));
  }
  CHECK(bytes.size() > 300);
  CHECK(refused > bytes.size() / 2);
}

TEST_CASE("archive: a file cut anywhere is refused as truncated") {
  const std::string& path = TinyArchive(PolicyType::kPi0);
  const size_t size = ReadBytes(path).size();
  for (size_t i = 0; i < 100; ++i) {
    FaultyFileSystem files(PosixFileSystem());
    files.Truncate(path, i < 50 ? size - 1 - i * 7 : 4 + (i - 50) * size / 60);
    CHECK_THAT(Failure(files, path), ContainsText("truncated"));
  }
}

TEST_CASE("archive: foreign files are recognised") {
  CHECK_THAT(FailureOf(""), ContainsText("the file is empty"));
  CHECK_THAT(FailureOf("abc"), ContainsText("not a TorchScript archive"));
  CHECK_THAT(FailureOf(std::string(100000, 'r')), ContainsText("not a TorchScript archive"));
  CHECK_THAT(FailureOf("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
             ContainsText("git lfs pull"));
  CHECK_THAT(FailureOf("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."),
             ContainsText("weights file of torch.save") && ContainsText("vlaserve export"));
  CHECK_THAT(FailureOf(std::string("\x02\0\0\0\0\0\0\0{}", 10)),
             ContainsText("safetensors file") && ContainsText("vlaserve export"));
  CHECK_THAT(FailureOf(MakeZip({{"weights/data.pkl", "x"}, {"weights/data/0", "y"}})),
             ContainsText("weights file of torch.save"));
  CHECK_THAT(FailureOf(MakeZip({{"arr_0.npy", "x"}})), ContainsText(".npz"));
  CHECK_THAT(FailureOf(MakeZip({{"word/document.xml", "x"}})),
             ContainsText("not a TorchScript archive"));
  const TempDir dir;
  CHECK_FALSE(Archive::Open(PosixFileSystem(), dir.path()).ok());
  CHECK(Archive::Open(PosixFileSystem(), dir.File("none.pt")).status().code() ==
        StatusCode::kNotFound);
}

TEST_CASE("archive: a missing extra file is named") {
  for (const char* name :
       {"geometry.json", "norm_stats.json", "tokenizer.model", "linears.json", "digests.json"}) {
    CHECK_THAT(FailureWith({{std::string("extra/") + name, std::nullopt}}), ContainsText(name));
  }
  CHECK_THAT(FailureWith({{"extra/policy.json", std::nullopt}}),
             ContainsText("not a policy archive of vlaserve"));
}

TEST_CASE("archive: an export.json that is no JSON is refused") {
  constexpr const char* kExport = "extra/export.json";
  CHECK_THAT(FailureWith({{kExport, "not json"}}), ContainsText(kExport));
  const std::string deep(300'000, '[');
  CHECK_THAT(FailureWith({{kExport, deep + std::string(deep.size(), ']')}}), ContainsText(kExport));
}

TEST_CASE("archive: methods that are missing or changed are refused") {
  constexpr const char* kCode = "code/__torch__.py";
  CHECK_THAT(FailureWith({{kCode, Edited(kCode, "def embed_prompt(", "def embed_text(")}}),
             ContainsText("embed_prompt"));
  CHECK_THAT(
      FailureWith({{kCode, Edited(kCode, "pixels: Tensor", "pixels: Tensor, more: int=0")}}),
      ContainsText("the module's method is encode_images(pixels: Tensor, more: int) -> Tensor") &&
          ContainsText("expected encode_images(pixels: Tensor) -> Tensor"));
}

TEST_CASE("archive: tables that do not belong to the module are refused") {
  constexpr const char* kDigests = "extra/digests.json";
  constexpr const char* kGeometry = "extra/geometry.json";
  constexpr const char* kLinears = "extra/linears.json";
  CHECK_THAT(FailureWith({{kDigests, Edited(kDigests, "action_in_proj.bias", "action_in_proj.b")}}),
             ContainsText("archive_sha256"));
  CHECK_THAT(FailureWith({{kLinears, Edited(kLinears, "\"live\": false", "\"live\": true")}}),
             ContainsText("extra/linears.json: entry "));
  CHECK_THAT(
      FailureWith({{kGeometry, Edited(kGeometry, "\"vocab_size\": 1024", "\"vocab_size\": 1025")}}),
      ContainsText("embed_tokens.weight has shape"));
  CHECK_THAT(FailureWith({{kDigests, "{}"}}), ContainsText("/format"));
  // A consistent table of the other type's tensors.
  CHECK_THAT(FailureWith({{kDigests, RecordContent(TinyArchive(PolicyType::kPi05), kDigests)}}),
             ContainsText("tensor "));
}

TEST_CASE("archive: settings and statistics that do not fit are refused") {
  constexpr const char* kStats = "extra/norm_stats.json";
  CHECK_THAT(FailureWith({{kStats, "{\"norm_stats\": {}}"}}), ContainsText(kStats));
  CHECK_THAT(FailureWith({{"extra/policy.json", "{\"format\": 1}"}}),
             ContainsText("extra/policy.json"));
}

TEST_CASE("archive: a TorchScript module that is no policy is refused") {
  Changes changes;
  const auto zip = OpenZip(ReadBytes(TinyArchive(PolicyType::kPi0)));
  REQUIRE(zip.ok());
  for (const ZipRecord& record : zip->records()) {
    const size_t extra = record.name.find("/extra/");
    if (extra != std::string::npos) changes[record.name.substr(extra + 1)] = std::nullopt;
  }
  CHECK(changes.size() == 7);
  CHECK_THAT(FailureWith(changes), ContainsText("not a policy archive of vlaserve"));
}

}  // namespace
}  // namespace vlaserve
