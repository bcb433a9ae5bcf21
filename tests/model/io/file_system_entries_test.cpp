// What folders need that several processes share: locks, entries in use, what may be removed.
#include <algorithm>
#include <filesystem>
#include <string>
#include <thread>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/io/file_system.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

mode_t Permissions(const std::string& path) {
  return static_cast<mode_t>(fs::status(path).permissions());
}

TEST_CASE("CreateEntry: a private file under a hidden name until Commit") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.File("entry");
  const mode_t before = ::umask(0);
  auto file = files.CreateEntry(path, 100000);
  ::umask(before);
  REQUIRE(file.ok());
  REQUIRE((*file)->Append(Bytes("content")).ok());
  const auto names = files.List(dir.path());
  REQUIRE(names->size() == 1);
  CHECK_THAT(names->front(),
             Catch::Matchers::StartsWith(".tmp." + std::to_string(::getpid()) + "."));
  CHECK_FALSE(fs::exists(path));
  REQUIRE((*file)->Commit().ok());
  CHECK(*files.List(dir.path()) == std::vector<std::string>{"entry"});
  CHECK(*files.Read(path, 100) == "content");  // what was reserved beyond it does not count
  CHECK(Permissions(path) == 0600);
}

TEST_CASE("CreateEntry: nothing remains without Commit, and too large is said before the work") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  { REQUIRE(files.CreateEntry(dir.File("entry"), 10).ok()); }
  CHECK(files.List(dir.path())->empty());
  const Status huge = files.CreateEntry(dir.File("entry"), uint64_t{1} << 60).status();
  CHECK(huge.code() == StatusCode::kIo);
  CHECK_THAT(huge.message(), Catch::Matchers::StartsWith(dir.File("entry")) &&
                                 ContainsText("cannot reserve 1152921504606846976 bytes"));
  CHECK(files.List(dir.path())->empty());
}

TEST_CASE("RemoveUnused: leaves what is being written or is mapped, takes the rest") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.Write("entry", "content");
  {
    const auto mapped = files.MapEntry(path);
    REQUIRE(mapped.ok());
    CHECK(*files.RemoveUnused(path) == false);
    const auto again = files.MapEntry(path);
    CHECK(again.ok());
  }
  auto writing = files.CreateEntry(dir.File("other"), 10);
  REQUIRE(writing.ok());
  const auto names = files.List(dir.path());
  REQUIRE(names.ok());
  for (const std::string& name : *names) {
    CHECK(*files.RemoveUnused(dir.File(name)) == (name == "entry"));
  }
  CHECK((*writing)->Commit().ok());
  CHECK(*files.RemoveUnused(dir.File("other")) == true);
  CHECK(files.RemoveUnused(path).status().code() == StatusCode::kNotFound);
  CHECK(files.RemoveUnused(dir.path()).status().code() == StatusCode::kUnreadable);
}

TEST_CASE("RemoveUnused: a file whose process died is in nobody's use") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const pid_t pid = ::fork();
  if (pid == 0) {
    auto writing = files.CreateEntry(dir.File("entry"), 10);
    ::_exit(writing.ok() ? 0 : 1);  // without destructors, as if it had been killed
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
  const auto names = files.List(dir.path());
  REQUIRE(names->size() == 1);
  CHECK(*files.RemoveUnused(dir.File(names->front())) == true);
}

TEST_CASE("MapEntry: links, directories and pipes are refused, not followed") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string target = dir.Write("target", "content");
  fs::create_symlink(target, dir.File("link"));
  REQUIRE(::mkfifo(dir.File("pipe").c_str(), 0600) == 0);
  const Status link = files.MapEntry(dir.File("link")).status();
  CHECK(link.code() == StatusCode::kUnreadable);
  CHECK_THAT(link.message(), ContainsText("is a symbolic link"));
  CHECK(files.MapEntry(dir.path()).status().code() == StatusCode::kUnreadable);
  CHECK(files.MapEntry(dir.File("pipe")).status().code() == StatusCode::kUnreadable);
  CHECK(files.MapEntry(dir.File("none")).status().code() == StatusCode::kNotFound);
}

TEST_CASE("Stat and Remove look at a link itself") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string target = dir.Write("target", "content");
  const std::string link = dir.File("link");
  fs::create_symlink(dir.path(), link);
  CHECK(files.Stat(target)->kind == FileInfo::Kind::kFile);
  CHECK(files.Stat(target)->bytes == 7);
  CHECK(files.Stat(target)->trusted_owner);
  CHECK(files.Stat(link)->kind == FileInfo::Kind::kSymbolicLink);
  CHECK(files.Stat(link + "/.")->kind == FileInfo::Kind::kDirectory);
  CHECK(files.Stat("/dev/null")->kind == FileInfo::Kind::kOther);
  REQUIRE(::chmod(target.c_str(), 0640) == 0);
  CHECK(files.Stat(target)->permissions == 0640);
  CHECK(files.Stat(dir.File("none")).status().code() == StatusCode::kNotFound);
  CHECK(files.Remove(link).ok());
  CHECK(fs::exists(target));
  CHECK_THAT(files.Remove(dir.path()).message(), ContainsText("Directory not empty"));
  CHECK(files.Remove(target).ok());
  CHECK(files.Remove(target).code() == StatusCode::kNotFound);
  CHECK(files.Remove(dir.path()).ok());
}

TEST_CASE("Touch: sets the time of modification to now") {
  const TempDir dir;
  const std::string path = dir.Write("a", "x");
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(5));
  const int64_t old = PosixFileSystem().Stat(path)->modified_unix_ns;
  REQUIRE(PosixFileSystem().Touch(path).ok());
  CHECK(PosixFileSystem().Stat(path)->modified_unix_ns - old > int64_t{4} * 3600 * 1'000'000'000);
  CHECK(PosixFileSystem().Touch(dir.File("none")).code() == StatusCode::kNotFound);
}

TEST_CASE("CreatePrivateDirectories: what is new is private, what exists is left as it is") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  REQUIRE(::mkdir(dir.File("a").c_str(), 0755) == 0);
  const mode_t before = ::umask(0);
  const Status status = files.CreatePrivateDirectories(dir.File("a/b/c"));
  ::umask(before);
  REQUIRE(status.ok());
  CHECK(Permissions(dir.File("a")) == 0755);
  CHECK(Permissions(dir.File("a/b")) == 0700);
  CHECK(Permissions(dir.File("a/b/c")) == 0700);
  CHECK(files.CreatePrivateDirectories(dir.File("a/b/c/")).ok());
  CHECK_FALSE(files.CreatePrivateDirectories(dir.Write("file", "") + "/below").ok());
  CHECK_FALSE(files.CreatePrivateDirectories(dir.File("file")).ok());
}

TEST_CASE("Lock: one holder at a time, in this process too; waits as long as it was told") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.File("lock");
  auto held = files.Lock(path, milliseconds(0));
  REQUIRE(held.ok());
  REQUIRE(*held != nullptr);
  CHECK(Permissions(path) == 0600);
  const auto begin = std::chrono::steady_clock::now();
  auto refused = files.Lock(path, milliseconds(40));
  REQUIRE(refused.ok());
  CHECK(*refused == nullptr);
  CHECK(std::chrono::steady_clock::now() - begin >= milliseconds(40));

  std::thread releaser([&] {
    std::this_thread::sleep_for(milliseconds(20));
    held->reset();
  });
  const auto waited = files.Lock(path, std::chrono::seconds(20));
  releaser.join();
  REQUIRE(waited.ok());
  CHECK(*waited != nullptr);
}

TEST_CASE("Lock: errors name the path") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  CHECK(files.Lock(dir.File("none/lock"), milliseconds(0)).status().code() ==
        StatusCode::kNotFound);
  CHECK_THAT(files.Lock(dir.path(), milliseconds(0)).status().message(),
             Catch::Matchers::StartsWith(dir.path()));
}

TEST_CASE("Entries: a NUL byte in a path is not the end of the path") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.Write("a", "content") + std::string("\0.bak", 5);
  CHECK(files.MapEntry(path).status().code() == StatusCode::kNotFound);
  CHECK(files.CreateEntry(path, 1).status().code() == StatusCode::kNotFound);
  CHECK(files.Remove(path).code() == StatusCode::kNotFound);
  CHECK(files.RemoveUnused(path).status().code() == StatusCode::kNotFound);
  CHECK(files.Stat(path).status().code() == StatusCode::kNotFound);
  CHECK(files.Touch(path).code() == StatusCode::kNotFound);
  CHECK(files.Lock(path, milliseconds(0)).status().code() == StatusCode::kNotFound);
  CHECK(files.CreatePrivateDirectories(path).code() == StatusCode::kNotFound);
  CHECK(fs::exists(dir.File("a")));
}

}  // namespace
}  // namespace vlaserve
