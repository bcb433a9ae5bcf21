#include "quant/pack/npz_pack.h"

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "model/archive/zip_writer.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

// An .npy array of version 1.0.
std::string Npy(const std::string& descr, bool fortran_order, const std::string& shape,
                const std::string& data) {
  std::string header = "{'descr': '" + descr +
                       "', 'fortran_order': " + (fortran_order ? "True" : "False") +
                       ", 'shape': " + shape + ", }";
  header.append(64 - (header.size() + 11) % 64, ' ');
  header.push_back('\n');
  std::string npy("\x93NUMPY\x01\x00", 8);
  npy.push_back(static_cast<char>(header.size() & 0xFF));
  npy.push_back(static_cast<char>(header.size() >> 8));
  return npy + header + data;
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

std::string Text(const std::string& text) {
  std::vector<uint32_t> points(text.begin(), text.end());
  return Npy("<U" + std::to_string(text.size()), false, "()", Bytes(points));
}

std::string Meta(const std::string& changed = "", const std::string& to = "") {
  std::string json =
      R"({"in_features": 3, "out_features": 2, "block_size": 2, "block_out_size": 2, )"
      R"("enable_permute": true, "lambda_smooth": 0.15})";
  if (const size_t at = json.find(changed); !changed.empty()) json.replace(at, changed.size(), to);
  return json;
}

using Entries = std::map<std::string, std::string>;

// A layer of two rows and three columns.
Entries Sound() {
  return {
      {"weight_scale.npy", Npy("<f4", false, "(2,)", Bytes<float>({0.5F, 0.25F}))},
      {"meta.npy", Text(Meta())},
      {"perm.npy", Npy("<i8", false, "(3,)", Bytes<int64_t>({2, 0, 1}))},
      // Row-major [[1, 2], [3, 4]].
      {"Rin_0.npy", Npy("<f4", true, "(2, 2)", Bytes<float>({1, 3, 2, 4}))},
      {"Rin_1.npy", Npy("<f4", true, "(1, 1)", Bytes<float>({5}))},
      {"R_in_blocks.npy", Npy("<i8", false, "(2,)", Bytes<int64_t>({0, 1}))},
      {"Rout_0.npy", Npy("<f4", false, "(2, 2)", Bytes<float>({6, 7, 8, 9}))},
      {"R_out_blocks.npy", Npy("<i8", false, "(1,)", Bytes<int64_t>({0}))},
  };
}

std::string WriteNpz(const TempDir& dir, const Entries& entries) {
  std::string path = dir.File("pack.npz");
  auto file = PosixFileSystem().CreateAtomically(path);
  REQUIRE(file.ok());
  ZipWriter zip(**file);
  for (const auto& [name, content] : entries) REQUIRE(zip.Add(name, content).ok());
  REQUIRE(zip.Finish().ok());
  REQUIRE((*file)->Commit().ok());
  return path;
}

TEST_CASE("npz packs: matrices of both memory orders come out row-major") {
  const TempDir dir;
  const auto pack = ReadNpzPack(PosixFileSystem(), WriteNpz(dir, Sound()));
  REQUIRE(pack.ok());
  CHECK(pack->in_features == 3);
  CHECK(pack->out_features == 2);
  CHECK(pack->block == 2);
  CHECK(pack->block_out == 2);
  CHECK(pack->permute);
  CHECK(pack->weight_scale == std::vector<float>{0.5F, 0.25F});
  CHECK(pack->permutation == std::vector<int32_t>{2, 0, 1});
  CHECK(pack->rotations == std::vector<std::vector<float>>{{1, 2, 3, 4}, {5}});
  CHECK(pack->output_rotations == std::vector<std::vector<float>>{{6, 7, 8, 9}});
}

TEST_CASE("npz packs: without a permutation there is no perm") {
  const TempDir dir;
  Entries entries = Sound();
  entries["meta.npy"] = Text(Meta("true", "false"));
  entries.erase("perm.npy");
  const auto pack = ReadNpzPack(PosixFileSystem(), WriteNpz(dir, entries));
  REQUIRE(pack.ok());
  CHECK_FALSE(pack->permute);
  CHECK(pack->permutation.empty());
}

struct WrongEntry {
  std::string name;
  std::string content;  // empty: the entry is missing
  std::string message;
};

TEST_CASE("npz packs: every contradiction is one error that names file, entry and what is wrong") {
  const std::vector<WrongEntry> wrong = {
      {"meta.npy", "", "has no meta.npy"},
      {"Rin_1.npy", "", "has no Rin_1.npy"},
      {"perm.npy", "", "has no perm.npy"},
      {"weight_scale.npy", "", "has no weight_scale.npy"},
      {"extra.npy", "x", "holds extra.npy, which a pack of these sizes does not have"},
      {"meta.npy", Text("{"), "meta.npy"},
      {"meta.npy", Text("[]"), "meta.npy: is not a JSON object"},
      {"meta.npy", Text(Meta("3", "0")), "in_features is not an integer from 1 to"},
      {"meta.npy", Text(Meta("3", "3.5")), "in_features is not an integer from 1 to"},
      {"meta.npy", Text(Meta("3", "4")), "perm.npy: has shape [3], expected [4]"},
      {"meta.npy", Text(Meta("\"block_size\": 2", "\"block_size\": 3")),
       "R_in_blocks.npy: has shape [2], expected [1]"},
      {"meta.npy", Text(Meta("true", "1")), "enable_permute is not true or false"},
      {"meta.npy", Text(Meta("true", "false")), "holds perm.npy"},
      {"meta.npy", Npy("<U1", false, "()", Bytes<uint32_t>({0xD800})), "no Unicode character"},
      {"meta.npy", Npy("<f4", false, "()", "1234"), "meta.npy: is \"<f4\" [], expected one text"},
      {"perm.npy", Npy("<i8", false, "(3,)", Bytes<int64_t>({2, 0, 2})),
       "perm.npy: is no permutation: element 2 is 2, of 3 columns"},
      {"perm.npy", Npy("<i8", false, "(3,)", Bytes<int64_t>({2, 0, 3})), "element 2 is 3"},
      {"perm.npy", Npy("<i8", false, "(3,)", Bytes<int64_t>({2, 0, -1})), "element 2 is -1"},
      {"perm.npy", Npy("<i4", false, "(3,)", Bytes<int32_t>({2, 0, 1})), "type \"<i4\""},
      {"Rin_0.npy", Npy("<f8", true, "(2, 2)", Bytes<double>({1, 3, 2, 4})), "type \"<f8\""},
      {"Rin_0.npy", Npy("<i8", true, "(2, 2)", Bytes<int64_t>({1, 3, 2, 4})),
       "Rin_0.npy: has element type \"<i8\", expected \"<f4\""},
      {"Rin_0.npy", Npy("<f4", true, "(4,)", Bytes<float>({1, 3, 2, 4})),
       "Rin_0.npy: has shape [4], expected [2, 2]"},
      {"Rin_0.npy", Npy("<f4", true, "(2, 2)", Bytes<float>({1, 3, 2})),
       "has 12 bytes of data, \"<f4\" [2, 2] needs 16"},
      {"Rin_0.npy", Npy("<f4", true, "(2, 2)", Bytes<float>({1, 3, std::nanf(""), 4})),
       "Rin_0.npy: element 1 is not a finite number"},
      {"R_in_blocks.npy", Npy("<i8", false, "(2,)", Bytes<int64_t>({0, 2})),
       "R_in_blocks.npy: element 1 is 2, expected 1"},
      {"Rin_0.npy", "no array", "does not begin as an .npy array of version 1.0 does"},
      {"Rin_0.npy", Npy("<f4", true, "(2, 2)", "").substr(0, 9), "ends within its header"},
      {"Rin_0.npy", Npy("<f4", true, "(2, 2)", "").substr(0, 40), "ends within its header"},
      {"Rin_0.npy", Npy("<f4", true, "(2, 2", Bytes<float>({1, 3, 2, 4})), "NumPy does not write"},
      {"Rin_0.npy", Npy("<f4", true, "(1, 2, 2)", Bytes<float>({1, 3, 2, 4})), "two dimensions"},
      {"Rin_0.npy", Npy("<f4", true, "(-2, -2)", Bytes<float>({1, 3, 2, 4})), "NumPy does not"},
      {"Rin_0.npy", Npy("<f4", true, "(4611686018427387904, 4)", "x"), "larger than any file"},
      {"meta.npy", Npy("<U99999999999", false, "()", "x"), "reasonable length"},
  };
  const TempDir dir;
  for (const WrongEntry& entry : wrong) {
    INFO(entry.name << " → " << entry.message);
    Entries entries = Sound();
    entries[entry.name] = entry.content;
    if (entry.content.empty()) entries.erase(entry.name);
    const std::string path = WriteNpz(dir, entries);
    const Status status = ReadNpzPack(PosixFileSystem(), path).status();
    REQUIRE_FALSE(status.ok());
    CHECK(status.code() == StatusCode::kUnreadable);
    CHECK_THAT(status.message(), Catch::Matchers::StartsWith(path) && ContainsText(entry.message));
  }
}

TEST_CASE("npz packs: a damaged or foreign file is one clear error, never a crash") {
  const TempDir dir;
  const std::string content = *PosixFileSystem().Read(WriteNpz(dir, Sound()), size_t{1} << 20);
  const auto refused = [&](const std::string& damaged) {
    const std::string path = dir.Write("damaged.npz", damaged);
    const auto pack = ReadNpzPack(PosixFileSystem(), path);
    if (pack.ok()) return false;
    CHECK(pack.status().code() == StatusCode::kUnreadable);
    CHECK_THAT(pack.status().message(), Catch::Matchers::StartsWith(path));
    return true;
  };
  for (size_t size = 0; size < content.size(); size += 7) {
    INFO("cut to " << size);
    CHECK(refused(content.substr(0, size)));
  }
  // Some bytes mean nothing, such as times and versions in the zip: none may crash.
  size_t detected = 0;
  for (size_t i = 0; i < content.size(); ++i) {
    std::string damaged = content;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
    detected += refused(damaged) ? 1U : 0U;
  }
  CHECK(detected > content.size() / 2);
  CHECK(refused("PK\x03\x04"));
  CHECK(ReadNpzPack(PosixFileSystem(), dir.File("none")).status().code() == StatusCode::kNotFound);
}

}  // namespace
}  // namespace vlaserve
