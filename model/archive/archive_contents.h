// The extra files of a policy archive (FORMAT.md), read and checked against each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/archive/archive_records.h"
#include "model/archive/archive_tables.h"
#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/geometry.h"
#include "model/checkpoint/norm_stats.h"
#include "model/io/status.h"
#include "model/settings/policy_settings.h"

namespace vlaserve {

struct ArchiveContents {
  PolicySettings settings;  // every size filled in
  Geometry geometry;
  NormStats norm_stats;
  std::string_view tokenizer_model;  // a view into the mapping
  std::vector<LinearInfo> linears;
  Digests digests;
  std::string export_json;  // export.json as it stands; empty if there is none
};

// Errors: kUnreadable naming file and record: a record that is missing or damaged, statistics or
// settings that do not fit the geometry, tensors or linears that are not those of a model of this
// geometry.
Result<ArchiveContents> ReadArchiveContents(const ArchiveRecords& records);

}  // namespace vlaserve
