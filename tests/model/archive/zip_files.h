// Zip files for tests: in memory, or changed copies of archives.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/archive/zip_reader.h"
#include "model/io/file_system.h"

namespace vlaserve {

// A zip of these records (uncompressed), as ZipWriter makes it.
std::string MakeZip(const std::vector<std::pair<std::string, std::string>>& records);

// Bytes as a mapped file.
std::shared_ptr<const MappedFile> InMemory(std::string bytes);

// ZipReader over bytes, under the name "test.zip".
Result<ZipReader> OpenZip(std::string bytes);

// The zip file at `path` with records (named below its top folder) replaced or added; unset:
// removed. CRCs are right.
std::string ChangeRecords(const std::string& path,
                          const std::map<std::string, std::optional<std::string>>& changes);

// Content of a record (named below the top folder) of the zip file at `path`.
std::string RecordContent(const std::string& path, std::string_view name);

// Content of a file.
std::string ReadBytes(const std::string& path);

}  // namespace vlaserve
