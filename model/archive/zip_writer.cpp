#include "model/archive/zip_writer.h"

#include <algorithm>
#include <utility>

#include "model/archive/zip_layout.h"

namespace vlaserve {
namespace {

using namespace zip_layout;

constexpr uint64_t kAlignment = 64;
constexpr uint32_t kPaddingExtra = 0x4246;  // "FB", what LibTorch pads with
constexpr uint32_t kVersion = 45;           // ZIP64
constexpr size_t kChunk = size_t{16} << 20;

class Bytes {
 public:
  Bytes& Le(uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) {
      text_.push_back(static_cast<char>(static_cast<unsigned char>(value >> (8 * i))));
    }
    return *this;
  }
  Bytes& Text(const std::string& text) {
    text_ += text;
    return *this;
  }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

bool Wide(uint64_t value) { return value >= kUnset32; }
uint64_t Narrow(uint64_t value) { return Wide(value) ? kUnset32 : value; }

uint32_t Method(const ZipRecord& record) { return record.deflated ? kDeflated : kStored; }

}  // namespace

Status ZipWriter::Append(std::span<const std::byte> bytes) {
  at_ += bytes.size();
  return file_.Append(bytes);
}

Status ZipWriter::Append(const std::string& bytes) {
  return Append(std::as_bytes(std::span(bytes)));
}

Status ZipWriter::BeginRecord(const ZipRecord& record) {
  Entry entry{record, at_};
  Bytes extra;
  if (Wide(record.bytes) || Wide(record.stored_bytes)) {
    extra.Le(kZip64Extra, 2).Le(16, 2).Le(record.bytes, 8).Le(record.stored_bytes, 8);
  }
  const uint64_t unpadded = at_ + kLocalBytes + record.name.size() + extra.str().size() + 4;
  const uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  extra.Le(kPaddingExtra, 2).Le(padding, 2).Text(std::string(padding, '\0'));
  const bool wide = Wide(record.bytes) || Wide(record.stored_bytes);
  Bytes header;
  header.Le(kLocalSignature, 4).Le(kVersion, 2).Le(kFlagUtf8, 2).Le(Method(record), 2);
  header.Le(0, 4).Le(record.crc32, 4);
  header.Le(wide ? kUnset32 : record.stored_bytes, 4).Le(wide ? kUnset32 : record.bytes, 4);
  header.Le(record.name.size(), 2).Le(extra.str().size(), 2);
  header.Text(record.name).Text(extra.str());
  entries_.push_back(std::move(entry));
  return Append(header.str());
}

Status ZipWriter::Copy(const ZipReader& from, const ZipRecord& record) {
  VLASERVE_RETURN_IF_ERROR(BeginRecord(record));
  const std::span<const std::byte> stored = from.StoredBytes(record);
  for (size_t at = 0; at < stored.size(); at += kChunk) {
    const size_t size = std::min(kChunk, stored.size() - at);
    VLASERVE_RETURN_IF_ERROR(Append(stored.subspan(at, size)));
    from.file()->Release(record.offset + at, size);
  }
  return Status::Ok();
}

Status ZipWriter::Add(const std::string& name, std::string_view content) {
  ZipRecord record;
  record.name = name;
  record.bytes = record.stored_bytes = content.size();
  record.crc32 = ZipCrc32(std::as_bytes(std::span(content)));
  VLASERVE_RETURN_IF_ERROR(BeginRecord(record));
  return Append(std::as_bytes(std::span(content)));
}

Status ZipWriter::Finish() {
  const uint64_t directory = at_;
  for (const Entry& entry : entries_) {
    const ZipRecord& record = entry.record;
    Bytes wide;
    for (const uint64_t value : {record.bytes, record.stored_bytes, entry.header}) {
      if (Wide(value)) wide.Le(value, 8);
    }
    Bytes extra;
    if (!wide.str().empty()) extra.Le(kZip64Extra, 2).Le(wide.str().size(), 2).Text(wide.str());
    Bytes bytes;
    bytes.Le(kEntrySignature, 4).Le(kVersion, 2).Le(kVersion, 2).Le(kFlagUtf8, 2);
    bytes.Le(Method(record), 2).Le(0, 4).Le(record.crc32, 4);
    bytes.Le(Narrow(record.stored_bytes), 4).Le(Narrow(record.bytes), 4);
    bytes.Le(record.name.size(), 2).Le(extra.str().size(), 2).Le(0, 2).Le(0, 2).Le(0, 2).Le(0, 4);
    bytes.Le(Narrow(entry.header), 4).Text(record.name).Text(extra.str());
    VLASERVE_RETURN_IF_ERROR(Append(bytes.str()));
  }
  const uint64_t end = at_;
  Bytes bytes;
  bytes.Le(kEnd64Signature, 4).Le(kEnd64Bytes - 12, 8).Le(kVersion, 2).Le(kVersion, 2);
  bytes.Le(0, 4).Le(0, 4).Le(entries_.size(), 8).Le(entries_.size(), 8);
  bytes.Le(end - directory, 8).Le(directory, 8);
  bytes.Le(kLocatorSignature, 4).Le(0, 4).Le(end, 8).Le(1, 4);
  const uint64_t count = std::min<uint64_t>(entries_.size(), kUnset16);
  bytes.Le(kEndSignature, 4).Le(0, 2).Le(0, 2).Le(count, 2).Le(count, 2);
  bytes.Le(Narrow(end - directory), 4).Le(Narrow(directory), 4).Le(0, 2);
  return Append(bytes.str());
}

}  // namespace vlaserve
