// Writes a zip record by record, in the layout of LibTorch's archives: nothing compressed anew,
// every record's bytes at a multiple of 64.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/archive/zip_reader.h"
#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

// Not thread-safe. The file must outlive the writer; committing it is the caller's.
class ZipWriter {
 public:
  explicit ZipWriter(WritableFile& file) : file_(file) {}

  // Carries a record over as it is stored. Its pages are released as they are written.
  Status Copy(const ZipReader& from, const ZipRecord& record);
  // An uncompressed record.
  Status Add(const std::string& name, std::string_view content);
  // The directory; nothing may be added afterwards.
  Status Finish();

 private:
  struct Entry {
    ZipRecord record;
    uint64_t header = 0;
  };

  Status Append(std::span<const std::byte> bytes);
  Status Append(const std::string& bytes);
  Status BeginRecord(const ZipRecord& record);

  WritableFile& file_;
  uint64_t at_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace vlaserve
