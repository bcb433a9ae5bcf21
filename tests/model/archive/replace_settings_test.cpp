#include <string>

#include "model/archive/archive.h"
#include "tests/model/archive/policy_archives.h"
#include "tests/model/archive/zip_files.h"
#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

PolicySettings SettingsOf(const std::string& path) {
  const auto archive = Archive::Open(PosixFileSystem(), path);
  REQUIRE(archive.ok());
  return (*archive)->settings();
}

NormStats StatsOf(const std::string& path) {
  const auto archive = Archive::Open(PosixFileSystem(), path);
  REQUIRE(archive.ok());
  return (*archive)->norm_stats();
}

TEST_CASE("replace: new settings and statistics, everything else carried over") {
  const std::string& path = TinyArchive(PolicyType::kPi0);
  const TempDir dir;
  PolicySettings settings = SettingsOf(path);
  settings.name = "another";
  settings.num_steps = 7;
  NormStats stats = StatsOf(path);
  stats.state.mean.at(0) += 1.0;
  const Status replaced =
      ReplaceSettings(PosixFileSystem(), path, dir.File("new.pt"), settings, stats);
  INFO(replaced.message());
  REQUIRE(replaced.ok());

  const auto archive = Archive::Open(PosixFileSystem(), dir.File("new.pt"));
  INFO(archive.status().message());
  REQUIRE(archive.ok());
  CHECK((*archive)->settings() == settings);
  CHECK((*archive)->norm_stats().state.mean == stats.state.mean);
  CHECK((*archive)->Verify().empty());

  const auto before = OpenZip(ReadBytes(path));
  const auto after = OpenZip(ReadBytes(dir.File("new.pt")));
  REQUIRE(before.ok());
  REQUIRE(after.ok());
  REQUIRE(after->records().size() == before->records().size());
  size_t changed = 0;
  for (size_t i = 0; i < before->records().size(); ++i) {
    const ZipRecord& a = before->records()[i];
    const ZipRecord& b = after->records()[i];
    CHECK(a.name == b.name);
    CHECK(b.offset % 64 == 0);
    const auto left = before->StoredBytes(a);
    const auto right = after->StoredBytes(b);
    changed += std::equal(left.begin(), left.end(), right.begin(), right.end()) ? 0 : 1;
  }
  CHECK(changed == 2);
}

TEST_CASE("replace: in place, and keeping what is not given") {
  const TempDir dir;
  const std::string path = dir.Write("policy.pt", ReadBytes(TinyArchive(PolicyType::kPi05)));
  PolicySettings settings = SettingsOf(path);
  settings.default_prompt = "pick up the cup";
  const NormStats stats = StatsOf(path);
  REQUIRE(ReplaceSettings(PosixFileSystem(), path, path, settings, std::nullopt).ok());
  CHECK(SettingsOf(path).default_prompt == "pick up the cup");
  CHECK(StatsOf(path).actions.std == stats.actions.std);
  REQUIRE(ReplaceSettings(PosixFileSystem(), path, path, std::nullopt, std::nullopt).ok());
  CHECK(SettingsOf(path) == settings);
}

TEST_CASE("replace: settings that do not fit the model are refused and nothing is written") {
  const std::string& path = TinyArchive(PolicyType::kPi0);
  const TempDir dir;
  const auto failure = [&](const std::optional<PolicySettings>& settings,
                           const std::optional<NormStats>& stats) {
    const Status status =
        ReplaceSettings(PosixFileSystem(), path, dir.File("new.pt"), settings, stats);
    CHECK_FALSE(status.ok());
    CHECK_FALSE(PosixFileSystem().IsFile(dir.File("new.pt")));
    return status.message();
  };
  PolicySettings settings = SettingsOf(path);
  settings.horizon = *settings.horizon + 1;
  CHECK_THAT(failure(settings, std::nullopt), ContainsText("horizon"));
  settings = SettingsOf(path);
  settings.prompt_slots = *settings.prompt_slots + 1;
  CHECK_THAT(failure(settings, std::nullopt), ContainsText("max_token_len"));
  settings = SettingsOf(path);
  settings.type = PolicyType::kPi05;
  CHECK_FALSE(failure(settings, std::nullopt).empty());
  NormStats stats = StatsOf(path);
  stats.state.mean.resize(3);
  stats.state.std.resize(3);
  CHECK_THAT(failure(std::nullopt, stats), ContainsText("the new statistics"));
}

TEST_CASE("replace: a full disk leaves no archive behind") {
  const std::string& path = TinyArchive(PolicyType::kPi0);
  const TempDir dir;
  FaultyFileSystem counting(PosixFileSystem());
  REQUIRE(ReplaceSettings(counting, path, dir.File("a.pt"), std::nullopt, std::nullopt).ok());
  const size_t operations = counting.operations();
  CHECK(operations > 10);
  for (size_t i = 0; i < operations; i += operations / 20 + 1) {
    FaultyFileSystem files(PosixFileSystem());
    files.FailFrom(i);
    CHECK_FALSE(ReplaceSettings(files, path, dir.File("b.pt"), std::nullopt, std::nullopt).ok());
    CHECK_FALSE(PosixFileSystem().IsFile(dir.File("b.pt")));
  }
  CHECK(PosixFileSystem().List(dir.path())->size() == 1);
}

}  // namespace
}  // namespace vlaserve
