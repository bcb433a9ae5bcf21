// The records of a TorchScript archive: the zip's, below its one top folder.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/archive/zip_reader.h"
#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// Immutable; any thread may read. Keeps the mapping alive.
class ArchiveRecords {
 public:
  // Maps the file and finds the records. A file of another kind is refused by its name where it can
  // be recognised (safetensors, a torch.save weights file, a Git LFS pointer …), with what to do
  // instead; so are compressed records other than code and a format version that LibTorch 2.11 does
  // not read.
  static Result<ArchiveRecords> Open(FileSystem& files, const std::string& path);

  // `name` without the top folder: "data.pkl", "extra/policy.json".
  const ZipRecord* Find(std::string_view name) const;
  // The content, checked against its CRC-32. A missing record is kUnreadable.
  Result<std::string> Read(std::string_view name, uint64_t max_bytes) const;
  // TorchScript source files by import path: "__torch__.torch.nn" for code/__torch__/torch/nn.py.
  // Errors: a damaged record; more than 64 MB of code.
  Result<std::vector<std::pair<std::string, std::string>>> ReadCode() const;
  // A record's name below the top folder.
  std::string_view NameOf(const ZipRecord& record) const;

  const ZipReader& zip() const { return *zip_; }
  const std::string& path() const { return zip_->path(); }
  int64_t format_version() const { return format_version_; }

 private:
  ArchiveRecords() = default;

  std::shared_ptr<const ZipReader> zip_;
  std::string folder_;  // with its slash
  int64_t format_version_ = 0;
};

}  // namespace vlaserve
