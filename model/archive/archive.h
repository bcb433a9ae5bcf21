// An opened policy archive (model/archive/FORMAT.md): checked, mapped, nothing copied.
//
// This header is free of LibTorch; model/archive/module.h gives the TorchScript module to the code
// that runs it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/archive/archive_tables.h"
#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/geometry.h"
#include "model/checkpoint/norm_stats.h"
#include "model/io/file_system.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

struct ArchiveModule;  // model/archive/module.h

// Thread-safety: the accessors may be called from any thread; the module is for one thread.
class Archive {
 public:
  // Maps the file, refuses what FORMAT.md says is refused, reads the extra files, unpickles the
  // module over the mapping (no weight byte is read or copied) and passes every method through the
  // operator allow-list. Errors (kUnreadable unless said otherwise) name file and record, byte,
  // operator or tensor.
  static Result<std::unique_ptr<Archive>> Open(FileSystem& files, const std::string& path);
  ~Archive();

  const std::string& path() const;
  uint64_t file_bytes() const;
  const PolicySettings& settings() const;
  const Geometry& geometry() const;
  const NormStats& norm_stats() const;
  // The SentencePiece model, a view into the mapping.
  std::string_view tokenizer_model() const;
  const std::vector<LinearInfo>& linears() const;
  const std::map<std::string, TensorDigest>& digests() const;
  // Identifies the weights (digests.json).
  const std::string& archive_sha256() const;

  // Signatures of the module's methods, in FORMAT.md's order.
  const std::vector<std::string>& methods() const;
  // export.json as written by the exporter; empty if there is none. Informative.
  const std::string& export_json() const;

  // Every weight byte against digests.json, and every other record against its CRC-32: what
  // differs, by name of tensor or record; empty if all agree.
  std::vector<std::string> Verify() const;

  // Tells the kernel that the pages of a tensor (by name) are not needed any more; best effort.
  void ReleasePages(const std::string& tensor) const;

  ArchiveModule& module();

 private:
  struct Impl;
  explicit Archive(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Writes a copy of the archive at `out` (which may be `path` itself) with other settings and/or
// statistics; weights and code are carried over unchanged. Unset: keep.
Status ReplaceSettings(FileSystem& files, const std::string& path, const std::string& out,
                       const std::optional<PolicySettings>& settings,
                       const std::optional<NormStats>& norm_stats);

}  // namespace vlaserve
