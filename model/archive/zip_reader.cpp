#include "model/archive/zip_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#define ZLIB_CONST
#include <zlib.h>

#include "model/archive/zip_layout.h"

namespace vlaserve {
namespace {

using namespace zip_layout;

constexpr size_t kCrcChunk = size_t{8} << 20;

Status Damaged(const std::string& path, uint64_t byte, const std::string& what) {
  return {StatusCode::kUnreadable, path + ": byte " + std::to_string(byte) + ": " + what};
}

struct Directory {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t records = 0;
};

// Only what ends exactly at the end of the file counts: a comment or trailing bytes would let two
// readers find two different directories.
Result<Directory> FindDirectory(std::span<const std::byte> file, const std::string& path) {
  if (file.size() < kEndBytes || Le32(file, file.size() - kEndBytes) != kEndSignature) {
    return Damaged(path, file.size(),
                   "the zip directory that belongs at the end of an archive is missing; the file "
                   "is truncated or something was appended to it");
  }
  const uint64_t end = file.size() - kEndBytes;
  if (Le16(file, end + 4) != 0 || Le16(file, end + 6) != 0 || Le16(file, end + 20) != 0) {
    return Damaged(path, end, "a zip of several disks or with a comment is not an archive");
  }
  Directory directory{Le32(file, end + 16), Le32(file, end + 12), Le16(file, end + 10)};
  uint64_t directory_end = end;
  if (end >= kLocatorBytes + kEnd64Bytes && Le32(file, end - kLocatorBytes) == kLocatorSignature) {
    const uint64_t end64 = end - kLocatorBytes - kEnd64Bytes;
    if (Le64(file, end - kLocatorBytes + 8) != end64 || Le32(file, end64) != kEnd64Signature ||
        Le64(file, end64 + 4) != kEnd64Bytes - 12) {
      return Damaged(path, end - kLocatorBytes, "the ZIP64 end record is not where it belongs");
    }
    if (Le32(file, end64 + 16) != 0 || Le32(file, end64 + 20) != 0 ||
        Le64(file, end64 + 24) != Le64(file, end64 + 32)) {
      return Damaged(path, end64, "a zip of several disks is not an archive");
    }
    const Directory wide{Le64(file, end64 + 48), Le64(file, end64 + 40), Le64(file, end64 + 32)};
    const auto agrees = [](uint64_t narrow, uint64_t value, uint64_t unset) {
      return narrow == unset || narrow == value;
    };
    if (!agrees(directory.offset, wide.offset, kUnset32) ||
        !agrees(directory.bytes, wide.bytes, kUnset32) ||
        !agrees(directory.records, wide.records, kUnset16)) {
      return Damaged(path, end, "the two zip end records disagree");
    }
    directory = wide;
    directory_end = end64;
  }
  if (directory.offset > directory_end || directory.bytes != directory_end - directory.offset) {
    return Damaged(path, end,
                   "the zip directory (byte " + std::to_string(directory.offset) + ", " +
                       std::to_string(directory.bytes) +
                       " bytes) does not end where its end "
                       "record starts; the file is truncated or damaged");
  }
  return directory;
}

// Names become keys and file-like paths: nothing that another tool could resolve elsewhere.
bool PlainName(std::string_view name) {
  if (name.empty() || name.front() == '/') return false;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == '\\' || c == 0x7f) return false;
  }
  return ("/" + std::string(name) + "/").find("/../") == std::string::npos;
}

// Replaces those of the three values that are all ones by the ZIP64 extra field's.
bool ApplyZip64(std::span<const std::byte> extra, uint64_t& bytes, uint64_t& stored_bytes,
                uint64_t& header) {
  uint64_t at = 0;
  bool found = false;
  while (extra.size() - at >= 4) {
    const uint64_t size = Le16(extra, at + 2);
    if (size > extra.size() - at - 4) return false;
    if (Le16(extra, at) == kZip64Extra) {
      if (found) return false;
      found = true;
      uint64_t next = at + 4;
      for (uint64_t* value : {&bytes, &stored_bytes, &header}) {
        if (*value != kUnset32) continue;
        if (at + 4 + size - next < 8) return false;
        *value = Le64(extra, next);
        next += 8;
      }
    }
    at += 4 + size;
  }
  return at == extra.size();
}

struct Entry {
  ZipRecord record;
  uint64_t header = 0;  // offset of the local header
  uint32_t flags = 0;
  uint32_t method = 0;
};

// The directory entry at `at`; advances it.
Result<Entry> ReadEntry(std::span<const std::byte> file, const Directory& directory, uint64_t& at,
                        const std::string& path) {
  const uint64_t end = directory.offset + directory.bytes;
  if (end - at < kEntryBytes || Le32(file, at) != kEntrySignature) {
    return Damaged(path, at, "no zip directory entry here although more are announced");
  }
  const uint64_t name_bytes = Le16(file, at + 28);
  const uint64_t extra_bytes = Le16(file, at + 30);
  const uint64_t comment_bytes = Le16(file, at + 32);
  if (end - at - kEntryBytes < name_bytes + extra_bytes + comment_bytes) {
    return Damaged(path, at, "a zip directory entry is longer than the directory");
  }
  Entry entry;
  entry.record.name.assign(reinterpret_cast<const char*>(file.data() + at + kEntryBytes),
                           name_bytes);
  if (!PlainName(entry.record.name)) {
    return Damaged(path, at, "a record's name is empty or is not a plain relative path");
  }
  entry.flags = Le16(file, at + 8);
  entry.method = Le16(file, at + 10);
  entry.record.crc32 = Le32(file, at + 16);
  entry.record.stored_bytes = Le32(file, at + 20);
  entry.record.bytes = Le32(file, at + 24);
  entry.header = Le32(file, at + 42);
  if (!ApplyZip64(file.subspan(at + kEntryBytes + name_bytes, extra_bytes), entry.record.bytes,
                  entry.record.stored_bytes, entry.header)) {
    return Damaged(path, at, "record " + entry.record.name + " has a damaged extra field");
  }
  if ((entry.flags & kFlagEncrypted) != 0) {
    return Damaged(path, at, "record " + entry.record.name + " is encrypted; archives are not");
  }
  if ((entry.flags & ~kKnownFlags) != 0 || Le16(file, at + 34) != 0) {
    return Damaged(path, at,
                   "record " + entry.record.name +
                       " uses zip features that archives do "
                       "not have");
  }
  if (entry.method != kStored && entry.method != kDeflated) {
    return Damaged(path, at,
                   "record " + entry.record.name + " is compressed with method " +
                       std::to_string(entry.method) + "; expected none or deflate");
  }
  entry.record.deflated = entry.method == kDeflated;
  if (!entry.record.deflated && entry.record.bytes != entry.record.stored_bytes) {
    return Damaged(path, at, "record " + entry.record.name + " is stored but has two sizes");
  }
  at += kEntryBytes + name_bytes + extra_bytes + comment_bytes;
  return entry;
}

// Checks the local header against the directory and fills in where the data is. Returns the first
// byte behind the data.
Result<uint64_t> ReadLocalHeader(std::span<const std::byte> file, const Directory& directory,
                                 Entry& entry, const std::string& path) {
  ZipRecord& record = entry.record;
  const auto damaged = [&](const std::string& what) {
    return Damaged(path, entry.header, "record " + record.name + ": " + what);
  };
  if (entry.header > directory.offset || directory.offset - entry.header < kLocalBytes ||
      Le32(file, entry.header) != kLocalSignature) {
    return damaged("no zip record header here; the file is truncated or damaged");
  }
  const uint64_t name_bytes = Le16(file, entry.header + 26);
  const uint64_t extra_bytes = Le16(file, entry.header + 28);
  if (directory.offset - entry.header - kLocalBytes < name_bytes + extra_bytes) {
    return damaged("its header reaches into the zip directory");
  }
  const std::string_view name(
      reinterpret_cast<const char*>(file.data() + entry.header + kLocalBytes), name_bytes);
  if (name != record.name || Le16(file, entry.header + 6) != entry.flags ||
      Le16(file, entry.header + 8) != entry.method) {
    return damaged("its header disagrees with the zip directory on name, flags or method");
  }
  if ((entry.flags & kFlagDescriptor) == 0) {
    const uint32_t stored_bytes = Le32(file, entry.header + 18);
    const uint32_t bytes = Le32(file, entry.header + 22);
    if (Le32(file, entry.header + 14) != record.crc32 ||
        (stored_bytes != kUnset32 && stored_bytes != record.stored_bytes) ||
        (bytes != kUnset32 && bytes != record.bytes)) {
      return damaged("its header disagrees with the zip directory on size or CRC");
    }
  }
  record.offset = entry.header + kLocalBytes + name_bytes + extra_bytes;
  if (directory.offset - record.offset < record.stored_bytes) {
    return damaged("its " + std::to_string(record.stored_bytes) +
                   " bytes do not fit before the "
                   "zip directory; the file is truncated or damaged");
  }
  return record.offset + record.stored_bytes;
}

// Raw deflate into exactly `out.size()` bytes.
bool Inflate(std::span<const std::byte> in, std::string& out) {
  if (in.size() > std::numeric_limits<uInt>::max() ||
      out.size() > std::numeric_limits<uInt>::max()) {
    return false;
  }
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  stream.next_in = reinterpret_cast<const Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool whole =
      inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0 && stream.avail_in == 0;
  inflateEnd(&stream);
  return whole;
}

}  // namespace

Result<ZipReader> ZipReader::Open(std::shared_ptr<const MappedFile> file, const std::string& path) {
  const std::span<const std::byte> bytes = file->bytes();
  VLASERVE_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(bytes, path));

  std::vector<Entry> entries;
  uint64_t at = directory.offset;
  const uint64_t end = directory.offset + directory.bytes;
  while (entries.size() < directory.records) {
    VLASERVE_ASSIGN_OR_RETURN(Entry entry, ReadEntry(bytes, directory, at, path));
    entries.push_back(std::move(entry));
  }
  if (at != end) {
    return Damaged(
        path, at,
        "the zip directory is longer than its " + std::to_string(directory.records) + " records");
  }

  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.header < b.header; });
  ZipReader reader;
  uint64_t free_from = 0;
  for (Entry& entry : entries) {
    if (entry.header < free_from || (free_from == 0 && entry.header != 0)) {
      return Damaged(path, entry.header,
                     "record " + entry.record.name +
                         (free_from == 0 ? " should start the file but does not"
                                         : " overlaps the record before it"));
    }
    VLASERVE_ASSIGN_OR_RETURN(free_from, ReadLocalHeader(bytes, directory, entry, path));
    if (!reader.index_.emplace(entry.record.name, reader.records_.size()).second) {
      return Damaged(path, entry.header, "record " + entry.record.name + " occurs twice");
    }
    reader.records_.push_back(std::move(entry.record));
  }
  reader.file_ = std::move(file);
  reader.path_ = path;
  return reader;
}

const ZipRecord* ZipReader::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &records_[found->second];
}

std::span<const std::byte> ZipReader::StoredBytes(const ZipRecord& record) const {
  return file_->bytes().subspan(record.offset, record.stored_bytes);
}

Result<std::string> ZipReader::Read(const ZipRecord& record, uint64_t max_bytes) const {
  if (record.bytes > max_bytes) {
    return Damaged(path_, record.offset,
                   "record " + record.name + " has " + std::to_string(record.bytes) +
                       " bytes, more than the " + std::to_string(max_bytes) + " allowed for it");
  }
  const std::span<const std::byte> stored = StoredBytes(record);
  std::string content(record.bytes, '\0');
  if (!record.deflated) {
    std::copy_n(reinterpret_cast<const char*>(stored.data()), stored.size(), content.begin());
  } else if (!Inflate(stored, content)) {
    return Damaged(path_, record.offset,
                   "record " + record.name + " does not inflate to its " +
                       std::to_string(record.bytes) + " bytes; the file is damaged");
  }
  if (ZipCrc32(std::as_bytes(std::span(content))) != record.crc32) {
    return Damaged(path_, record.offset,
                   "record " + record.name + " does not match its CRC-32; the file is damaged");
  }
  return content;
}

Status ZipReader::CheckCrc(const ZipRecord& record) const {
  const std::span<const std::byte> stored = StoredBytes(record);
  uint32_t crc = 0;
  for (size_t at = 0; at < stored.size(); at += kCrcChunk) {
    crc = ZipCrc32(stored.subspan(at, std::min(kCrcChunk, stored.size() - at)), crc);
    file_->Release(record.offset + at, std::min(kCrcChunk, stored.size() - at));
  }
  if (crc == record.crc32) return Status::Ok();
  return Damaged(path_, record.offset,
                 "record " + record.name + " does not match its CRC-32; the file is damaged");
}

uint32_t ZipCrc32(std::span<const std::byte> bytes, uint32_t crc) {
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace vlaserve
