#include "quant/cache/pack_folder.h"

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <utility>

#include "quant/pack/pack_file.h"

namespace vlaserve {
namespace {

constexpr std::string_view kLockFolder = "locks";
constexpr std::string_view kEntrySuffix = ".safetensors";
constexpr std::string_view kTemporaryPrefix = ".tmp.";
constexpr size_t kKeyDigits = 64;
constexpr size_t kBucketDigits = 2;
constexpr uint32_t kWritableByOthers = 022;

bool IsHexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string Octal(uint32_t permissions) {
  char text[16];
  std::snprintf(text, sizeof(text), "%04o", permissions);
  return text;
}

// A file that has gone meanwhile is what was wanted.
Result<uint64_t> Freed(const Status& status, uint64_t bytes) {
  if (status.ok()) return bytes;
  if (status.code() == StatusCode::kNotFound) return uint64_t{0};
  return status;
}

}  // namespace

PackFolder::PackFolder(FileSystem& files, std::string directory)
    : files_(files),
      directory_(std::move(directory)),
      version_directory_(
          JoinPath(directory_, std::string("v").append(std::to_string(kPackFormatVersion)))) {}

std::string PackFolder::EntryPath(std::string_view sha256) const {
  const std::string bucket = JoinPath(version_directory_, sha256.substr(0, kBucketDigits));
  return JoinPath(bucket, std::string(sha256) + std::string(kEntrySuffix));
}

std::string PackFolder::LockPath(std::string_view sha256) const {
  return JoinPath(JoinPath(version_directory_, kLockFolder), std::string(sha256) + ".lock");
}

Status PackFolder::Create() const {
  return files_.CreatePrivateDirectories(JoinPath(version_directory_, kLockFolder));
}

Status PackFolder::CheckSafe() const {
  for (const std::string& directory : {directory_, version_directory_}) {
    // The "." looks at what a symbolic link leads to: the folder itself may well be one.
    const auto info = files_.Stat(JoinPath(directory, "."));
    if (!info.ok()) {
      if (info.status().code() == StatusCode::kNotFound) return Status::Ok();
      return info.status();
    }
    if (!info->trusted_owner) {
      return {StatusCode::kFailedPrecondition, directory + " belongs to another user"};
    }
    if ((info->permissions & kWritableByOthers) != 0) {
      return {StatusCode::kFailedPrecondition, directory + " may be written by others (mode " +
                                                   Octal(info->permissions) +
                                                   ", chmod go-w makes it safe)"};
    }
  }
  return Status::Ok();
}

Result<std::vector<std::string>> PackFolder::Buckets() const {
  auto names = files_.List(version_directory_);
  if (!names.ok()) {
    if (names.status().code() == StatusCode::kNotFound) return std::vector<std::string>();
    return names.status();
  }
  std::erase_if(*names, [](const std::string& name) {
    return name.size() != kBucketDigits || !IsHexadecimal(name);
  });
  return names;
}

Result<std::vector<PackFolder::Entry>> PackFolder::Entries() const {
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> buckets, Buckets());
  std::vector<Entry> entries;
  for (const std::string& bucket : buckets) {
    const std::string directory = JoinPath(version_directory_, bucket);
    if (!files_.IsDirectory(directory)) continue;
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(directory));
    for (const std::string& name : names) {
      if (name.size() != kKeyDigits + kEntrySuffix.size() || !name.ends_with(kEntrySuffix) ||
          !name.starts_with(bucket) || !IsHexadecimal(name.substr(0, kKeyDigits))) {
        continue;
      }
      Entry entry{name.substr(0, kKeyDigits), JoinPath(directory, name), {}};
      auto info = files_.Stat(entry.path);
      if (!info.ok()) continue;  // gone meanwhile
      entry.info = *info;
      entries.push_back(std::move(entry));
    }
  }
  return entries;
}

Result<uint64_t> PackFolder::Sweep() const {
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> buckets, Buckets());
  uint64_t freed = 0;
  Status first_error;
  for (const std::string& bucket : buckets) {
    const std::string directory = JoinPath(version_directory_, bucket);
    if (!files_.IsDirectory(directory)) continue;
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(directory));
    for (const std::string& name : names) {
      if (!name.starts_with(kTemporaryPrefix)) continue;
      const std::string path = JoinPath(directory, name);
      const auto info = files_.Stat(path);
      if (!info.ok()) continue;  // renamed into place meanwhile
      const auto removed = files_.RemoveUnused(path);
      if (removed.ok() && *removed) freed += info->bytes;
      if (!removed.ok() && removed.status().code() != StatusCode::kNotFound && first_error.ok()) {
        first_error = removed.status();
      }
    }
  }
  VLASERVE_RETURN_IF_ERROR(first_error);
  return freed;
}

Result<uint64_t> PackFolder::Remove(const Entry& entry) const {
  if (entry.info.kind == FileInfo::Kind::kFile) {
    const auto removed = files_.RemoveUnused(entry.path);
    if (removed.ok()) return *removed ? entry.info.bytes : uint64_t{0};
    if (removed.status().code() == StatusCode::kNotFound) return uint64_t{0};
    // One that cannot even be opened is in nobody's use.
  }
  return Freed(files_.Remove(entry.path), entry.info.bytes);
}

Result<uint64_t> PackFolder::Remove(const std::vector<Entry>& entries) const {
  uint64_t freed = 0;
  Status first_error;
  for (const Entry& entry : entries) {
    const auto bytes = Remove(entry);
    if (bytes.ok()) freed += *bytes;
    if (!bytes.ok() && first_error.ok()) first_error = bytes.status();
  }
  VLASERVE_RETURN_IF_ERROR(first_error);
  return freed;
}

Result<uint64_t> PackFolder::Evict(uint64_t max_bytes) const {
  VLASERVE_ASSIGN_OR_RETURN(std::vector<Entry> entries, Entries());
  uint64_t total = 0;
  for (const Entry& entry : entries) total += entry.info.bytes;
  if (total <= max_bytes) return uint64_t{0};
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.info.modified_unix_ns, a.sha256) <
           std::tie(b.info.modified_unix_ns, b.sha256);
  });
  uint64_t freed = 0;
  for (const Entry& entry : entries) {
    if (total - freed <= max_bytes) break;
    VLASERVE_ASSIGN_OR_RETURN(const uint64_t bytes, Remove(entry));
    freed += bytes;
  }
  return freed;
}

}  // namespace vlaserve
