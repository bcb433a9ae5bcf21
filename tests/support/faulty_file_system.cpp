#include "tests/support/faulty_file_system.h"

#include <csignal>
#include <utility>

#include <unistd.h>

namespace vlaserve {
namespace {

class MemoryFile : public MappedFile {
 public:
  explicit MemoryFile(std::string content) : content_(std::move(content)) {}
  std::span<const std::byte> bytes() const override {
    return std::as_bytes(std::span(content_.data(), content_.size()));
  }
  void Release(size_t, size_t) const override {}

 private:
  std::string content_;
};

}  // namespace

class FaultyWritableFile : public WritableFile {
 public:
  FaultyWritableFile(FaultyFileSystem& files, std::string path, std::unique_ptr<WritableFile> real)
      : files_(files), path_(std::move(path)), real_(std::move(real)) {}

  Status Append(std::span<const std::byte> bytes) override {
    VLASERVE_RETURN_IF_ERROR(
        files_.Change(path_, [&] { return real_->Append(bytes.first(bytes.size() / 2)); }));
    return real_->Append(bytes);
  }

  Status Commit() override {
    VLASERVE_RETURN_IF_ERROR(files_.Change(path_));
    return real_->Commit();
  }

 private:
  FaultyFileSystem& files_;
  std::string path_;
  std::unique_ptr<WritableFile> real_;
};

class FaultyScratchFile : public ScratchFile {
 public:
  FaultyScratchFile(FaultyFileSystem& files, std::string path, std::unique_ptr<ScratchFile> real)
      : files_(files), path_(std::move(path)), real_(std::move(real)) {}

  Status Append(std::span<const std::byte> bytes) override {
    VLASERVE_RETURN_IF_ERROR(files_.Change(path_));
    return real_->Append(bytes);
  }
  Result<std::shared_ptr<const MappedFile>> Map() override { return real_->Map(); }

 private:
  FaultyFileSystem& files_;
  std::string path_;
  std::unique_ptr<ScratchFile> real_;
};

Status FaultyFileSystem::Change(const std::string& path, const std::function<Status()>& halfway) {
  VLASERVE_RETURN_IF_ERROR(Writable(path));
  const size_t operation = operations_++;
  if (operation != kill_at_ && operation < fail_from_) return Status::Ok();
  if (halfway) VLASERVE_RETURN_IF_ERROR(halfway());
  if (operation == kill_at_) ::kill(::getpid(), SIGKILL);
  return {StatusCode::kIo, path + ": cannot write: No space left on device"};
}

Status FaultyFileSystem::Writable(const std::string& path) const {
  if (!read_only_) return Status::Ok();
  return {StatusCode::kIo, path + ": cannot write: Read-only file system"};
}

std::string FaultyFileSystem::Damaged(const std::string& path, std::string content) const {
  if (const auto found = truncations_.find(path); found != truncations_.end()) {
    if (found->second < content.size()) content.resize(found->second);
  }
  if (const auto found = flips_.find(path); found != flips_.end()) {
    if (found->second < content.size()) {
      content[found->second] = static_cast<char>(~content[found->second]);
    }
  }
  return content;
}

Result<std::shared_ptr<const MappedFile>> FaultyFileSystem::DamagedMap(
    const std::string& path, std::shared_ptr<const MappedFile> mapped) {
  if (!truncations_.contains(path) && !flips_.contains(path)) return mapped;
  const auto bytes = mapped->bytes();
  std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return {std::make_shared<const MemoryFile>(Damaged(path, std::move(content)))};
}

Result<std::shared_ptr<const MappedFile>> FaultyFileSystem::Map(const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(auto mapped, real_.Map(path));
  return DamagedMap(path, std::move(mapped));
}

Result<std::shared_ptr<const MappedFile>> FaultyFileSystem::MapEntry(const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(auto mapped, real_.MapEntry(path));
  return DamagedMap(path, std::move(mapped));
}

Result<std::string> FaultyFileSystem::Read(const std::string& path, size_t max_bytes) {
  VLASERVE_ASSIGN_OR_RETURN(std::string content, real_.Read(path, max_bytes));
  return Damaged(path, std::move(content));
}

Result<std::unique_ptr<WritableFile>> FaultyFileSystem::CreateAtomically(const std::string& path) {
  VLASERVE_RETURN_IF_ERROR(Change(path));
  VLASERVE_ASSIGN_OR_RETURN(auto real, real_.CreateAtomically(path));
  return {std::make_unique<FaultyWritableFile>(*this, path, std::move(real))};
}

Result<std::unique_ptr<ScratchFile>> FaultyFileSystem::CreateScratch(const std::string& directory) {
  VLASERVE_RETURN_IF_ERROR(Change(directory));
  VLASERVE_ASSIGN_OR_RETURN(auto real, real_.CreateScratch(directory));
  return {std::make_unique<FaultyScratchFile>(*this, directory, std::move(real))};
}

Status FaultyFileSystem::CreateDirectories(const std::string& path) {
  VLASERVE_RETURN_IF_ERROR(Change(path));
  return real_.CreateDirectories(path);
}

Status FaultyFileSystem::CreatePrivateDirectories(const std::string& path) {
  VLASERVE_RETURN_IF_ERROR(Change(path));
  return real_.CreatePrivateDirectories(path);
}

Result<std::unique_ptr<WritableFile>> FaultyFileSystem::CreateEntry(const std::string& path,
                                                                    uint64_t bytes) {
  VLASERVE_RETURN_IF_ERROR(Change(path));
  VLASERVE_ASSIGN_OR_RETURN(auto real, real_.CreateEntry(path, bytes));
  return {std::make_unique<FaultyWritableFile>(*this, path, std::move(real))};
}

Result<bool> FaultyFileSystem::RemoveUnused(const std::string& path) {
  VLASERVE_RETURN_IF_ERROR(Writable(path));
  return real_.RemoveUnused(path);
}

Status FaultyFileSystem::Remove(const std::string& path) {
  VLASERVE_RETURN_IF_ERROR(Writable(path));
  return real_.Remove(path);
}

Status FaultyFileSystem::Touch(const std::string& path) {
  VLASERVE_RETURN_IF_ERROR(Writable(path));
  return real_.Touch(path);
}

Result<std::unique_ptr<FileLock>> FaultyFileSystem::Lock(const std::string& path,
                                                         std::chrono::milliseconds timeout) {
  VLASERVE_RETURN_IF_ERROR(Change(path));
  return real_.Lock(path, timeout);
}

}  // namespace vlaserve
