// Whatever lies in a pack's place: it is noticed, said in one line, and built again.
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include <sys/stat.h>
#include <unistd.h>

#include "quant/cache/pack_cache.h"
#include "tests/quant/cache/cache_folder.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

namespace fs = std::filesystem;

void Overwrite(const std::string& path, const std::string& content) {
  fs::remove_all(path);
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  REQUIRE(file);
}

std::string ContentOf(const CacheFolder& folder, uint32_t seed) {
  const auto content = PosixFileSystem().Read(folder.EntryPath(seed), 1 << 20);
  REQUIRE(content.ok());
  return *content;
}

// The pack of seed 1 is damaged: it must be built, be right, and be said in one line.
void CheckNoticed(CacheFolder& folder, PackSource expected) {
  int builds = 0;
  folder.warnings.clear();
  CHECK(Serve(*folder.Open(), 1, &builds) == expected);
  CHECK(builds == 1);
  REQUIRE(folder.warnings.size() == 1);
  CHECK_THAT(folder.warnings[0],
             Catch::Matchers::StartsWith("pack cache: " + folder.EntryPath(1)) &&
                 ContainsText("; rebuilding it"));
}

TEST_CASE("PackCache under fire: 2000 corruptions are noticed and repaired") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  Serve(*folder.Open(), 2);
  const std::string sound = ContentOf(folder, 1);
  const std::string other = ContentOf(folder, 2);
  const std::string path = folder.EntryPath(1);
  std::mt19937 random(20240601);
  const auto below = [&](size_t count) { return random() % count; };
  const auto any_byte = [&] { return static_cast<char>(1 + below(255)); };

  const std::vector<std::function<std::string()>> damages = {
      [&] {  // one flipped bit
        std::string content = sound;
        content[below(content.size())] ^= static_cast<char>(1 << below(8));
        return content;
      },
      [&] {  // a changed byte
        std::string content = sound;
        const size_t at = below(content.size());
        content[at] = static_cast<char>(content[at] ^ any_byte());
        return content;
      },
      [&] { return sound.substr(0, below(sound.size())); },
      [&] {  // a hole, as a file system leaves it that lost data
        std::string content = sound;
        const size_t begin = below(content.size());
        const size_t end = std::min(content.size(), begin + 1 + below(512));
        std::fill(content.begin() + static_cast<ptrdiff_t>(begin),
                  content.begin() + static_cast<ptrdiff_t>(end), '\0');
        return content == sound ? std::string() : content;
      },
      [&] {  // parts of another pack
        const size_t at = 1 + below(sound.size() - 1);
        const std::string content = sound.substr(0, at) + other.substr(at);
        return content == sound ? other : content;
      },
      [&] { return sound + std::string(1 + below(100), any_byte()); },
      [&] {  // nothing but noise
        std::string content(below(3000), '\0');
        for (char& byte : content) byte = any_byte();
        return content;
      },
      [&] { return std::string(other); },
      [&] { return std::string(); },
      [&] {  // another format version
        std::string content = sound;
        const std::string version = "\"vlaserve_pack\":\"";
        content[content.find(version) + version.size()] = static_cast<char>('3' + below(7));
        return content;
      },
  };
  for (size_t i = 0; i < 2000; ++i) {
    INFO("corruption " << i);
    Overwrite(path, damages[i % damages.size()]());
    // Writing it anew costs a few milliseconds: one in eleven, so that every kind has its turn.
    const bool repair = i % 11 == 0;
    folder.options.mode =
        repair ? PackCacheOptions::Mode::kReadWrite : PackCacheOptions::Mode::kReadOnly;
    CheckNoticed(folder, repair ? PackSource::kBuilt : PackSource::kBuiltNotStored);
    if (repair) {
      CHECK(ContentOf(folder, 1) == sound);
      CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);
    }
  }
  CHECK(folder.Temporaries().empty());
}

TEST_CASE("PackCache under fire: what is no file in a pack's place is replaced") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  const std::string path = folder.EntryPath(1);
  const TempDir elsewhere;
  // A link is refused even where it leads to the right pack: its target may change under a mapping.
  const std::string target = elsewhere.Write("pack", ContentOf(folder, 1));
  const std::vector<std::function<void()>> placements = {
      [&] { fs::create_symlink(target, path); },
      [&] { fs::create_symlink(elsewhere.File("none"), path); },
      [&] { fs::create_symlink(elsewhere.path(), path); },
      [&] { fs::create_directory(path); },
      [&] { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); },
  };
  for (const auto& place : placements) {
    fs::remove_all(path);
    place();
    CheckNoticed(folder, PackSource::kBuilt);
    CHECK(fs::is_regular_file(fs::symlink_status(path)));
    CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);

    fs::remove_all(path);
    place();
    CHECK(folder.Open()->Verify()->front().problem != "");
    CHECK(folder.Open()->CollectGarbage().ok());
    CHECK_FALSE(fs::exists(fs::symlink_status(path)));
  }
  CHECK(fs::exists(target));
}

TEST_CASE("PackCache under fire: a directory with something in it stays, packs are served anyway") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  fs::remove(folder.EntryPath(1));
  fs::create_directories(folder.EntryPath(1) + "/somebody's");
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuiltNotStored);
  REQUIRE(folder.warnings.size() == 2);
  CHECK_THAT(folder.warnings[0], ContainsText("rebuilding it"));
  CHECK_THAT(folder.warnings[1], ContainsText("Directory not empty"));
  CHECK_FALSE(folder.Open()->CollectGarbage().ok());
  CHECK(fs::exists(folder.EntryPath(1) + "/somebody's"));
  CHECK(folder.Temporaries().empty());
}

TEST_CASE("PackCache under fire: two packs in each other's place are both noticed") {
  CacheFolder folder;
  Serve(*folder.Open(), 1);
  Serve(*folder.Open(), 2);
  fs::rename(folder.EntryPath(1), folder.path() + "/swap");
  fs::rename(folder.EntryPath(2), folder.EntryPath(1));
  fs::rename(folder.path() + "/swap", folder.EntryPath(2));
  CHECK(Serve(*folder.Open(), 1) == PackSource::kBuilt);
  CHECK(Serve(*folder.Open(), 2) == PackSource::kBuilt);
  REQUIRE(folder.warnings.size() == 2);
  CHECK_THAT(folder.warnings[0], ContainsText("is another pack: its manifest has \"seed 2\", "
                                              "expected \"seed 1\""));
}

TEST_CASE("PackCache under fire: a pack of an earlier format version is built anew") {
  CacheFolder folder;
  const auto old = PosixFileSystem().Read(
      std::string(VLASERVE_SOURCE_DIR) + "/tests/quant/pack/format_1.safetensors", 1 << 20);
  REQUIRE(old.ok());
  Serve(*folder.Open(), 1);
  Overwrite(folder.EntryPath(1), *old);
  CheckNoticed(folder, PackSource::kBuilt);
  CHECK_THAT(folder.warnings[0], ContainsText("format version 1, expected 2"));
  CHECK(Serve(*folder.Open(), 1) == PackSource::kCache);

  // Where the earlier version kept it, nobody looks, and nobody removes it.
  std::string place = folder.EntryPath(2);
  place.replace(place.find("/v2/"), 4, "/v1/");
  fs::create_directories(fs::path(place).parent_path());
  Overwrite(place, *old);
  folder.warnings.clear();
  CHECK(Serve(*folder.Open(), 2) == PackSource::kBuilt);
  CHECK(folder.Open()->Verify()->size() == 2);
  CHECK(folder.Open()->Clear().ok());
  CHECK(folder.Open()->List()->empty());
  CHECK(fs::exists(place));
  CHECK(folder.warnings.empty());
}

TEST_CASE("PackCache under fire: a pack that may not be read is replaced") {
  CacheFolder folder;
  const int code = Wait(Spawn([&] {
    if (::chown(fs::path(folder.path()).parent_path().c_str(), 65534, 65534) != 0 &&
        ::geteuid() == 0) {
      return 77;
    }
    if (!BecomeOrdinaryUser()) return 77;
    if (Serve(*folder.Open(), 1) != PackSource::kBuilt) return 1;
    if (::chmod(folder.EntryPath(1).c_str(), 0) != 0) return 2;
    if (Serve(*folder.Open(), 1) != PackSource::kBuilt) return 3;
    if (folder.warnings.size() != 1) return 4;
    if (folder.warnings[0].find("Permission denied; rebuilding it") == std::string::npos) return 5;
    if (Serve(*folder.Open(), 1) != PackSource::kCache) return 6;
    if (::chmod(folder.EntryPath(1).c_str(), 0) != 0) return 7;
    if (!folder.Open()->CollectGarbage().ok() || folder.Open()->Contains(KeyOf(1))) return 8;
    return 0;
  }));
  if (code == 77) {
    WARN("this process cannot become another user: not tested");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("PackCache under fire: a disk that gives other bytes than were written") {
  CacheFolder folder;
  FaultyFileSystem files(PosixFileSystem());
  files.FlipByte(folder.EntryPath(1), 700);
  CHECK(Serve(*folder.Open(files), 1) == PackSource::kBuiltNotStored);
  REQUIRE(folder.warnings.size() == 1);
  CHECK_THAT(folder.warnings[0], ContainsText("it was written just now"));
}

}  // namespace
}  // namespace vlaserve
