#include "quant/cache/pack_cache.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "quant/cache/pack_folder.h"
#include "quant/pack/pack_file.h"

namespace vlaserve {
namespace {

using Mode = PackCacheOptions::Mode;

// The first line in which two manifests differ, for people.
std::string ManifestDifference(std::string_view found, std::string_view expected) {
  const auto line = [](std::string_view& text) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view first = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return first.empty() ? std::string("nothing") : '"' + std::string(first) + '"';
  };
  while (true) {
    const std::string found_line = line(found);
    const std::string expected_line = line(expected);
    if (found_line != expected_line || (found.empty() && expected.empty())) {
      return "is another pack: its manifest has " + found_line + ", expected " + expected_line;
    }
  }
}

}  // namespace

class PackCache::Impl {
 public:
  Impl(FileSystem& files, PackCacheOptions options, WarningSink warn)
      : files_(files),
        options_(std::move(options)),
        warn_(std::move(warn)),
        folder_(files, options_.directory) {}

  void Prepare();
  Result<LoadedPack> LoadOrBuild(const PackKey& key, const std::string& provenance,
                                 const Build& build);
  Result<LoadedPack> BuildAndStore(const PackKey& key, const std::string& provenance,
                                   const Build& build);
  // The pack in the folder, nothing if there is none, kUnreadable if what is there is not this
  // pack.
  Result<std::optional<PackedLayer>> Load(const PackKey& key);
  Status Store(const PackKey& key, const std::string& provenance, const PackedLayer& pack);
  Result<std::vector<PackCacheEntry>> Inspect(PackChecksums checksums) const;
  PackCacheEntry InspectEntry(const PackFolder::Entry& entry, PackChecksums checksums) const;

  void Warn(const std::string& line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (warn_) warn_("pack cache: " + line);
  }
  // The folder cannot be written; said once.
  void WarnUnwritable(const Status& status) {
    if (unwritable_warned_.exchange(true)) return;
    Warn(options_.directory + " cannot be written (" + status.message() +
         "): new packs are kept in memory and built again at the next start; set pack_cache.dir to "
         "a folder that can be written");
  }

  // What the operations on the whole folder need; `write`: more than looking.
  Status CheckUsable(bool write) const {
    VLASERVE_RETURN_IF_ERROR(refusal_);
    if (options_.mode == Mode::kOff) {
      return {StatusCode::kFailedPrecondition, "pack_cache.mode", "the pack cache is off"};
    }
    if (write && options_.mode == Mode::kReadOnly) {
      return {StatusCode::kFailedPrecondition, "pack_cache.mode",
              options_.directory + ": the pack cache is read-only"};
    }
    return Status::Ok();
  }

  // Bytes of abandoned files removed since the last call, by Prepare as well.
  Result<uint64_t> Sweep() {
    VLASERVE_ASSIGN_OR_RETURN(const uint64_t bytes, folder_.Sweep());
    return bytes + swept_bytes_.exchange(0);
  }

  bool Contains(const PackKey& key) const {
    return Reads() && files_.IsFile(folder_.EntryPath(key.sha256()));
  }

  bool Reads() const { return options_.mode != Mode::kOff && refusal_.ok(); }
  bool Writes() const { return options_.mode == Mode::kReadWrite && refusal_.ok(); }
  const PackFolder& folder() const { return folder_; }
  const PackCacheOptions& options() const { return options_; }

 private:
  FileSystem& files_;
  const PackCacheOptions options_;
  std::mutex mutex_;  // of warn_
  const WarningSink warn_;
  const PackFolder folder_;
  Status refusal_;  // why nothing is read or written; constant after Prepare
  std::atomic<bool> unwritable_warned_ = false;
  std::atomic<uint64_t> swept_bytes_ = 0;  // by Prepare
};

void PackCache::Impl::Prepare() {
  if (options_.mode == Mode::kOff) return;
  refusal_ = folder_.CheckSafe();
  if (refusal_.ok() && options_.mode == Mode::kReadWrite) {
    if (const Status status = folder_.Create(); !status.ok()) {
      WarnUnwritable(status);
    } else {
      // Abandoned files cost nothing but room: what cannot be removed now is left to a later start.
      if (const auto swept = folder_.Sweep(); swept.ok()) swept_bytes_ = *swept;
    }
  }
  if (!refusal_.ok()) {
    Warn(refusal_.message() + ": not used, neither for reading nor for writing; set " +
         "pack_cache.dir to a folder of your own");
  }
}

Result<std::optional<PackedLayer>> PackCache::Impl::Load(const PackKey& key) {
  const std::string path = folder_.EntryPath(key.sha256());
  auto mapped = files_.MapEntry(path);
  if (!mapped.ok()) {
    if (mapped.status().code() == StatusCode::kNotFound) return std::optional<PackedLayer>();
    return Status(StatusCode::kUnreadable, mapped.status().message());
  }
  const PackChecksums checksums = options_.verify == PackCacheOptions::Verify::kAlways
                                      ? PackChecksums::kVerify
                                      : PackChecksums::kSkip;
  VLASERVE_ASSIGN_OR_RETURN(PackFile file, ReadPackFile(*std::move(mapped), path, checksums));
  if (file.manifest != key.manifest()) {
    return Status(StatusCode::kUnreadable,
                  path + ": " + ManifestDifference(file.manifest, key.manifest()));
  }
  // Only the order of eviction depends on it: a folder that cannot be written has none.
  static_cast<void>(files_.Touch(path));
  return {std::move(file.layer)};
}

Result<LoadedPack> PackCache::Impl::LoadOrBuild(const PackKey& key, const std::string& provenance,
                                                const Build& build) {
  if (Reads()) {
    auto loaded = Load(key);
    if (loaded.ok() && *loaded) return LoadedPack{**std::move(loaded), PackSource::kCache};
    if (!loaded.ok()) {
      if (options_.on_mismatch == PackCacheOptions::OnMismatch::kError) {
        return Status(StatusCode::kUnreadable,
                      loaded.status().message() +
                          "; not rebuilt because pack_cache.on_mismatch is "
                          "\"error\"");
      }
      Warn(loaded.status().message() + "; rebuilding it");
    }
  }
  if (Writes()) return BuildAndStore(key, provenance, build);
  VLASERVE_ASSIGN_OR_RETURN(PackContents contents, build());
  return LoadedPack{ViewOf(std::move(contents)), PackSource::kBuiltNotStored};
}

Result<LoadedPack> PackCache::Impl::BuildAndStore(const PackKey& key, const std::string& provenance,
                                                  const Build& build) {
  std::unique_ptr<FileLock> lock;
  Status status = folder_.Create();
  if (status.ok()) {
    auto locked = files_.Lock(folder_.LockPath(key.sha256()), options_.lock_timeout);
    status = locked.status();
    if (locked.ok()) lock = *std::move(locked);
    if (locked.ok() && lock == nullptr) {
      Warn(folder_.LockPath(key.sha256()) + ": another process has been building this pack for " +
           std::to_string(options_.lock_timeout.count()) + " ms; building it here as well");
    }
  }
  if (!status.ok()) WarnUnwritable(status);

  // Whoever held the lock before has most likely stored it.
  auto found = Load(key);
  if (found.ok() && *found) return LoadedPack{**std::move(found), PackSource::kCache};

  VLASERVE_ASSIGN_OR_RETURN(PackContents contents, build());
  PackedLayer pack = ViewOf(std::move(contents));
  if (status.ok()) status = Store(key, provenance, pack);
  if (!status.ok()) {
    WarnUnwritable(status);
    return LoadedPack{std::move(pack), PackSource::kBuiltNotStored};
  }
  auto stored = Load(key);
  if (!stored.ok() || !*stored) {
    Warn(stored.ok() ? folder_.EntryPath(key.sha256()) + ": removed as soon as it was written"
                     : stored.status().message() + "; it was written just now");
    return LoadedPack{std::move(pack), PackSource::kBuiltNotStored};
  }
  if (options_.max_bytes > 0) {
    const auto evicted = folder_.Evict(options_.max_bytes);
    if (!evicted.ok()) Warn(evicted.status().message() + "; pack_cache.max_bytes is not kept");
  }
  return LoadedPack{**std::move(stored), PackSource::kBuilt};
}

Status PackCache::Impl::Store(const PackKey& key, const std::string& provenance,
                              const PackedLayer& pack) {
  const std::string path = folder_.EntryPath(key.sha256());
  VLASERVE_RETURN_IF_ERROR(files_.CreatePrivateDirectories(path.substr(0, path.rfind('/'))));
  const auto info = files_.Stat(path);
  if (info.ok() && info->kind != FileInfo::Kind::kFile) {
    VLASERVE_RETURN_IF_ERROR(files_.Remove(path));
  }
  return WritePackFile(files_, path, pack, key.manifest(), provenance);
}

PackCacheEntry PackCache::Impl::InspectEntry(const PackFolder::Entry& entry,
                                             PackChecksums checksums) const {
  PackCacheEntry result;
  result.sha256 = entry.sha256;
  result.bytes = entry.info.bytes;
  result.last_used_unix_seconds = entry.info.modified_unix_ns / 1'000'000'000;
  auto mapped = files_.MapEntry(entry.path);
  if (!mapped.ok()) {
    result.problem = mapped.status().message();
    return result;
  }
  const auto file = ReadPackFile(*std::move(mapped), entry.path, checksums);
  if (!file.ok()) {
    result.problem = file.status().message();
    return result;
  }
  result.manifest = file->manifest;
  result.provenance = file->provenance;
  if (PackKey(file->manifest).sha256() != entry.sha256) {
    result.problem = entry.path + ": is another pack: its manifest has SHA-256 " +
                     PackKey(file->manifest).sha256();
  }
  return result;
}

Result<std::vector<PackCacheEntry>> PackCache::Impl::Inspect(PackChecksums checksums) const {
  VLASERVE_RETURN_IF_ERROR(CheckUsable(/*write=*/false));
  VLASERVE_ASSIGN_OR_RETURN(const auto entries, folder_.Entries());
  std::vector<PackCacheEntry> result;
  result.reserve(entries.size());
  for (const PackFolder::Entry& entry : entries) result.push_back(InspectEntry(entry, checksums));
  return result;
}

Result<std::unique_ptr<PackCache>> PackCache::Open(FileSystem& files,
                                                   const PackCacheOptions& options,
                                                   WarningSink warn) {
  if (options.directory.empty() && options.mode != Mode::kOff) {
    return Status(StatusCode::kInvalidArgument, "pack_cache.dir",
                  "no folder for the pack cache is known; name one or set pack_cache.mode to off");
  }
  auto impl = std::make_unique<Impl>(files, options, std::move(warn));
  impl->Prepare();
  return std::unique_ptr<PackCache>(new PackCache(std::move(impl)));
}

PackCache::PackCache(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PackCache::~PackCache() = default;

Result<LoadedPack> PackCache::LoadOrBuild(const PackKey& key, const std::string& provenance,
                                          const Build& build) {
  return impl_->LoadOrBuild(key, provenance, build);
}

bool PackCache::Contains(const PackKey& key) const { return impl_->Contains(key); }

Result<std::vector<PackCacheEntry>> PackCache::List() const {
  return impl_->Inspect(PackChecksums::kSkip);
}

Result<std::vector<PackCacheEntry>> PackCache::Verify() const {
  return impl_->Inspect(PackChecksums::kVerify);
}

Result<uint64_t> PackCache::CollectGarbage() {
  VLASERVE_RETURN_IF_ERROR(impl_->CheckUsable(/*write=*/true));
  const PackFolder& folder = impl_->folder();
  VLASERVE_ASSIGN_OR_RETURN(uint64_t freed, impl_->Sweep());
  VLASERVE_ASSIGN_OR_RETURN(auto unsound, folder.Entries());
  std::erase_if(unsound, [&](const PackFolder::Entry& entry) {
    return impl_->InspectEntry(entry, PackChecksums::kVerify).problem.empty();
  });
  VLASERVE_ASSIGN_OR_RETURN(const uint64_t unsound_bytes, folder.Remove(unsound));
  freed += unsound_bytes;
  if (impl_->options().max_bytes > 0) {
    VLASERVE_ASSIGN_OR_RETURN(const uint64_t bytes, folder.Evict(impl_->options().max_bytes));
    freed += bytes;
  }
  return freed;
}

Result<uint64_t> PackCache::Clear() {
  VLASERVE_RETURN_IF_ERROR(impl_->CheckUsable(/*write=*/true));
  const PackFolder& folder = impl_->folder();
  VLASERVE_ASSIGN_OR_RETURN(const uint64_t swept, impl_->Sweep());
  VLASERVE_ASSIGN_OR_RETURN(const auto entries, folder.Entries());
  VLASERVE_ASSIGN_OR_RETURN(const uint64_t bytes, folder.Remove(entries));
  return swept + bytes;
}

const std::string& PackCache::directory() const { return impl_->options().directory; }

}  // namespace vlaserve
