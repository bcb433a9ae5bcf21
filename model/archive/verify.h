// Digests of an archive's bytes.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/archive/archive_records.h"
#include "model/archive/archive_tables.h"

namespace vlaserve {

// Reads every byte of `tensors` (views into the mapping, each listed in `digests`) and of the
// records that are no tensors, on up to four threads, releasing pages as it goes. Returns what
// differs, in the order of names: "tensor NAME: SHA-256 … expected …", "record NAME: …".
std::vector<std::string> FindDifferences(
    const ArchiveRecords& records, const Digests& digests,
    const std::map<std::string, std::span<const std::byte>>& tensors);

}  // namespace vlaserve
