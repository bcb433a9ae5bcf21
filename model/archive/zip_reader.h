// The zip container of an archive, read from a mapping (APPNOTE.TXT 6.3 §4.3, ZIP64 included).
//
// A single strict parser instead of a forgiving one: what two zip readers could understand
// differently is refused. Record contents are not looked at here, except by Read and CheckCrc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/file_system.h"
#include "model/io/status.h"

namespace vlaserve {

struct ZipRecord {
  std::string name;
  uint64_t offset = 0;        // of the stored bytes in the file
  uint64_t stored_bytes = 0;  // in the file
  uint64_t bytes = 0;         // after inflating; equal to stored_bytes if not deflated
  bool deflated = false;
  uint32_t crc32 = 0;  // of the inflated bytes
};

// Immutable; any thread may read. Keeps the mapping alive.
class ZipReader {
 public:
  // Refuses (kUnreadable, naming file and byte): a missing or misplaced directory, names that occur
  // twice or leave the archive, encryption, compression other than deflate, several disks, local
  // headers that disagree with the directory, records outside of the file or over each other,
  // bytes before the first record or behind the directory.
  static Result<ZipReader> Open(std::shared_ptr<const MappedFile> file, const std::string& path);

  // In the order of the file.
  const std::vector<ZipRecord>& records() const { return records_; }
  // Null if there is no such record.
  const ZipRecord* Find(std::string_view name) const;

  // The bytes in the file, deflated if the record is.
  std::span<const std::byte> StoredBytes(const ZipRecord& record) const;
  // A copy of the content, inflated, its CRC-32 checked. kUnreadable naming the record; also for
  // content of more than `max_bytes`.
  Result<std::string> Read(const ZipRecord& record, uint64_t max_bytes) const;
  // The CRC-32 of a record that is not deflated, without copying it.
  Status CheckCrc(const ZipRecord& record) const;

  const std::string& path() const { return path_; }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  ZipReader() = default;

  std::shared_ptr<const MappedFile> file_;
  std::string path_;
  std::vector<ZipRecord> records_;
  std::map<std::string, size_t, std::less<>> index_;
};

// CRC-32 of the zip format; `crc` is the value of the bytes before, 0 at start.
uint32_t ZipCrc32(std::span<const std::byte> bytes, uint32_t crc = 0);

}  // namespace vlaserve
