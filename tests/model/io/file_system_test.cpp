#include "model/io/file_system.h"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {
namespace {

using Catch::Matchers::StartsWith;

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string Text(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// The operating system refuses file sizes above `bytes` while this lives, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limited{bytes, before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_CASE("FileSystem: what was written is read back, mapped and whole") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.File("a.bin");
  std::string content(3 << 20, '\0');  // several portions of a read
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 >> 3);
  REQUIRE(WriteFileAtomically(files, path, content).ok());
  CHECK(*files.Read(path, content.size()) == content);
  CHECK(Text(**files.Map(path)) == content);
  CHECK(*files.List(dir.path()) == std::vector<std::string>{"a.bin"});
}

TEST_CASE("FileSystem: an empty file maps to no bytes") {
  const TempDir dir;
  const std::string path = dir.Write("empty", "");
  const auto mapped = PosixFileSystem().Map(path);
  REQUIRE(mapped.ok());
  CHECK((*mapped)->bytes().empty());
  CHECK(PosixFileSystem().Read(path, 0)->empty());
}

TEST_CASE("FileSystem: a mapping outlives the replacement of its file") {
  const TempDir dir;
  const std::string path = dir.Write("a", "old content");
  const auto mapped = PosixFileSystem().Map(path);
  REQUIRE(mapped.ok());
  REQUIRE(WriteFileAtomically(PosixFileSystem(), path, "new").ok());
  CHECK(Text(**mapped) == "old content");
  CHECK(*PosixFileSystem().Read(path, 100) == "new");
}

TEST_CASE("FileSystem: released pages read the same again") {
  const TempDir dir;
  std::string content;
  for (size_t i = 0; i < 100000; ++i) content.push_back(static_cast<char>(i % 251));
  const auto mapped = PosixFileSystem().Map(dir.Write("a", content));
  REQUIRE(mapped.ok());
  REQUIRE(Text(**mapped) == content);
  (*mapped)->Release(1, 99998);
  (*mapped)->Release(50000, size_t{1} << 40);
  (*mapped)->Release(size_t{1} << 40, 1);
  CHECK(Text(**mapped) == content);
}

// Bytes of mapped files that this process has in memory.
size_t ResidentFileBytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0, resident = 0, shared = 0;
  REQUIRE((statm >> total >> resident >> shared));
  return shared * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

TEST_CASE("FileSystem: released pages leave the process's memory") {
  const TempDir dir;
  constexpr size_t kSize = size_t{32} << 20;
  const auto mapped = PosixFileSystem().Map(dir.Write("a", std::string(kSize, 'x')));
  REQUIRE(mapped.ok());
  const auto bytes = (*mapped)->bytes();
  REQUIRE(std::count(bytes.begin(), bytes.end(), std::byte{'x'}) == kSize);
  const size_t before = ResidentFileBytes();
  (*mapped)->Release(1, kSize - 2);  // neither end lies on a page boundary
  CHECK(ResidentFileBytes() + kSize * 9 / 10 < before);
}

TEST_CASE("FileSystem: Read refuses files over the limit") {
  const TempDir dir;
  const std::string path = dir.Write("a", "12345");
  CHECK(PosixFileSystem().Read(path, 5).ok());
  const Status status = PosixFileSystem().Read(path, 4).status();
  CHECK(status.code() == StatusCode::kUnreadable);
  CHECK(status.message() == path + ": larger than the limit of 4 bytes");
  CHECK(PosixFileSystem().Read("/dev/zero", 1000).status().code() == StatusCode::kUnreadable);
}

TEST_CASE("FileSystem: a missing file is kNotFound and names the path") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.File("none");
  const Status statuses[] = {files.Map(path).status(), files.Read(path, 10).status(),
                             files.List(path).status(),
                             files.CreateAtomically(path + "/file").status()};
  for (const Status& status : statuses) {
    CHECK(status.code() == StatusCode::kNotFound);
    CHECK_THAT(status.message(), StartsWith(path) && ContainsText("No such file"));
  }
  CHECK(files.Map(dir.Write("file", "") + "/inner").status().code() == StatusCode::kNotFound);
}

TEST_CASE("FileSystem: a directory where a file is expected is kUnreadable") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  CHECK(files.Map(dir.path()).status().code() == StatusCode::kUnreadable);
  CHECK(files.Read(dir.path(), 10).status().code() == StatusCode::kUnreadable);
  CHECK(files.CreateAtomically(dir.path()).status().code() == StatusCode::kUnreadable);
}

TEST_CASE("FileSystem: devices and pipes are neither mapped nor replaced") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string pipe = dir.File("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string& path : {pipe, std::string("/dev/null")}) {
    CHECK_THAT(files.Map(path).status().message(), ContainsText("not a regular file"));
    CHECK_THAT(files.CreateAtomically(path).status().message(), ContainsText("not a regular file"));
    CHECK_FALSE(files.IsFile(path));
  }
}

TEST_CASE("FileSystem: a NUL byte in a path is not the end of the path") {
  const TempDir dir;
  const std::string path = dir.Write("a", "content") + std::string("\0.bak", 5);
  FileSystem& files = PosixFileSystem();
  CHECK(files.Read(path, 100).status().code() == StatusCode::kNotFound);
  CHECK(files.Map(path).status().code() == StatusCode::kNotFound);
  CHECK_FALSE(files.IsFile(path));
}

TEST_CASE("FileSystem: files that may not be read are kIo") {
  if (::geteuid() == 0) {
    WARN("root may read everything: not tested");
    return;
  }
  const TempDir dir;
  const std::string path = dir.Write("secret", "x");
  REQUIRE(::chmod(path.c_str(), 0) == 0);
  CHECK(PosixFileSystem().Map(path).status().code() == StatusCode::kIo);
}

TEST_CASE("FileSystem: kinds, listing and creation of directories") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string deep = dir.File("a/b/c");
  REQUIRE(files.CreateDirectories(deep).ok());
  CHECK(files.CreateDirectories(deep).ok());
  CHECK(files.IsDirectory(deep));
  CHECK_FALSE(files.IsFile(deep));
  const std::string file = dir.Write("a/z", "");
  dir.Write("a/.hidden", "");
  CHECK(files.IsFile(file));
  CHECK_FALSE(files.IsDirectory(file));
  CHECK(*files.List(dir.File("a")) == std::vector<std::string>{".hidden", "b", "z"});
  const Status blocked = files.CreateDirectories(file + "/below");
  CHECK_FALSE(blocked.ok());
  CHECK_THAT(blocked.message(), StartsWith(file));
  CHECK_FALSE(files.CreateDirectories(file).ok());
}

TEST_CASE("WritableFile: nothing is visible before Commit, nothing remains without it") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.Write("a", "before");
  {
    auto file = files.CreateAtomically(path);
    REQUIRE(file.ok());
    REQUIRE((*file)->Append(Bytes("half a file")).ok());
    CHECK(*files.Read(path, 100) == "before");
  }
  CHECK(*files.Read(path, 100) == "before");
  CHECK(*files.List(dir.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("WritableFile: two writers of one file do not mix, the last commit wins") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.File("a");
  auto first = files.CreateAtomically(path);
  auto second = files.CreateAtomically(path);
  REQUIRE((*first)->Append(Bytes("first")).ok());
  REQUIRE((*second)->Append(Bytes("second")).ok());
  REQUIRE((*second)->Commit().ok());
  CHECK(*files.Read(path, 100) == "second");
  REQUIRE((*first)->Commit().ok());
  CHECK(*files.Read(path, 100) == "first");
  CHECK(files.List(dir.path())->size() == 1);
}

TEST_CASE("WritableFile: use after Commit is an error of the caller") {
  const TempDir dir;
  auto file = PosixFileSystem().CreateAtomically(dir.File("a"));
  REQUIRE((*file)->Commit().ok());
  CHECK((*file)->Append(Bytes("x")).code() == StatusCode::kInternal);
  CHECK((*file)->Commit().code() == StatusCode::kInternal);
}

TEST_CASE("WritableFile: a short write by the system, then no space: error, nothing visible") {
  const TempDir dir;
  FileSystem& files = PosixFileSystem();
  const std::string path = dir.Write("a", "before");
  {
    auto file = files.CreateAtomically(path);
    REQUIRE(file.ok());
    Status status;
    {
      const FileSizeLimit limit(1000);
      status = (*file)->Append(Bytes(std::string(5000, 'x')));
    }
    CHECK(status.code() == StatusCode::kIo);
    CHECK_THAT(status.message(), StartsWith(path + ": cannot write: "));
    // The first bytes are lost or incomplete, so the file can no longer be committed.
    CHECK((*file)->Commit().code() == StatusCode::kInternal);
  }
  CHECK(*files.Read(path, 100) == "before");
  CHECK(files.List(dir.path())->size() == 1);
}

TEST_CASE("ScratchFile: has no name, and its mapping outlives it") {
  const TempDir dir;
  auto scratch = PosixFileSystem().CreateScratch(dir.path());
  REQUIRE(scratch.ok());
  CHECK(PosixFileSystem().List(dir.path())->empty());
  REQUIRE((*scratch)->Append(Bytes("scratch ")).ok());
  REQUIRE((*scratch)->Append(Bytes("content")).ok());
  const auto mapped = (*scratch)->Map();
  REQUIRE(mapped.ok());
  scratch->reset();
  CHECK(Text(**mapped) == "scratch content");
}

TEST_CASE("ScratchFile: no space and no directory are errors that name the path") {
  const TempDir dir;
  auto scratch = PosixFileSystem().CreateScratch(dir.path());
  REQUIRE(scratch.ok());
  {
    const FileSizeLimit limit(1000);
    const Status status = (*scratch)->Append(Bytes(std::string(5000, 'x')));
    CHECK(status.code() == StatusCode::kIo);
    CHECK_THAT(status.message(), StartsWith(dir.path()));
  }
  const Status missing = PosixFileSystem().CreateScratch(dir.File("none")).status();
  CHECK(missing.code() == StatusCode::kNotFound);
  CHECK_THAT(missing.message(), StartsWith(dir.File("none")));
}

TEST_CASE("WriteFileAtomically: a fault at any point leaves the old file and no other") {
  const TempDir dir;
  const std::string path = dir.Write("a", "before");
  FaultyFileSystem healthy(PosixFileSystem());
  REQUIRE(WriteFileAtomically(healthy, path, "before").ok());
  REQUIRE(healthy.operations() == 3);  // create, append, commit
  for (size_t fault = 0; fault < healthy.operations(); ++fault) {
    FaultyFileSystem files(PosixFileSystem());
    files.FailFrom(fault);
    const Status status = WriteFileAtomically(files, path, "after");
    CHECK(status.code() == StatusCode::kIo);
    CHECK_THAT(status.message(), ContainsText(path) && ContainsText("No space left"));
    CHECK(*PosixFileSystem().Read(path, 100) == "before");
    CHECK(PosixFileSystem().List(dir.path())->size() == 1);
  }
}

TEST_CASE("JoinPath: exactly one slash between") {
  CHECK(JoinPath("a", "b") == "a/b");
  CHECK(JoinPath("a/", "b") == "a/b");
  CHECK(JoinPath("a//", "/b") == "a/b");
  CHECK(JoinPath("/", "b") == "/b");
  CHECK(JoinPath("", "b") == "b");
}

}  // namespace
}  // namespace vlaserve
