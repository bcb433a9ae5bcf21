// `vlaserve export`: a checkpoint directory becomes a policy archive (model/archive/FORMAT.md).
//
// This header is free of LibTorch.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/io/file_system.h"
#include "model/io/progress.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

enum class StoredDtype { kAsStored, kFloat32, kBfloat16 };

struct ExportOptions {
  std::string checkpoint;  // directory
  std::string out;         // the archive to write; appears only when complete
  // Unset: the settings that the checkpoint brings (policy.json or LeRobot's files).
  std::optional<PolicySettings> policy;
  std::string tokenizer;   // path; empty: tokenizer.model in the checkpoint or its assets
  std::string norm_stats;  // path; empty: looked for in the checkpoint (LoadNormStats)
  StoredDtype dtype = StoredDtype::kAsStored;
};

struct ExportSummary {
  PolicyType type = PolicyType::kPi0;
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;  // of the archive
  std::string archive_sha256;
};

// Reads the checkpoint through a mapping and streams the archive: anonymous memory stays well under
// 1 GB whatever the size. Errors: those of OpenCheckpoint, LoadNormStats, the tokenizer reader, the
// file system; a missing tokenizer says where to get it.
Result<ExportSummary> ExportPolicy(FileSystem& files, const ExportOptions& options,
                                   const ProgressSink& progress);

}  // namespace vlaserve
