#include "model/archive/verify.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>
#include <thread>
#include <utility>

#include "model/io/hash.h"

namespace vlaserve {
namespace {

constexpr size_t kChunk = size_t{4} << 20;
constexpr size_t kMaxThreads = 4;

std::string Hex32(uint32_t value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(8, '0');
  for (size_t i = 0; i < 8; ++i) text[7 - i] = kDigits[value >> (4 * i) & 15];
  return text;
}

// What differs; empty if nothing does.
std::string CompareTensor(const MappedFile& file, std::span<const std::byte> bytes,
                          const TensorDigest& digest) {
  Sha256 sha256;
  uint32_t crc32c = 0;
  for (size_t at = 0; at < bytes.size(); at += kChunk) {
    const std::span<const std::byte> chunk = bytes.subspan(at, std::min(kChunk, bytes.size() - at));
    sha256.Update(chunk);
    crc32c = Crc32c(chunk, crc32c);
    file.Release(static_cast<size_t>(chunk.data() - file.bytes().data()), chunk.size());
  }
  const std::string found = sha256.HexDigest();
  if (found != digest.sha256) return "SHA-256 is " + found + ", expected " + digest.sha256;
  if (crc32c != digest.crc32c) {
    return "CRC-32C is " + Hex32(crc32c) + ", expected " + Hex32(digest.crc32c);
  }
  return {};
}

}  // namespace

std::vector<std::string> FindDifferences(
    const ArchiveRecords& records, const Digests& digests,
    const std::map<std::string, std::span<const std::byte>>& tensors) {
  const MappedFile& file = *records.zip().file();
  const std::vector<std::pair<std::string, std::span<const std::byte>>> work(tensors.begin(),
                                                                             tensors.end());
  std::vector<std::string> results(work.size());
  std::atomic<size_t> next = 0;
  const auto run = [&] {
    for (size_t i = next++; i < work.size(); i = next++) {
      const auto& [name, bytes] = work[i];
      const std::string difference = CompareTensor(file, bytes, digests.tensors.at(name));
      if (!difference.empty()) results[i] = "tensor " + name + ": " + difference;
    }
  };
  {
    const size_t threads = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxThreads);
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < threads; ++i) helpers.emplace_back(run);
    run();
  }
  std::erase_if(results, [](const std::string& result) { return result.empty(); });

  for (const ZipRecord& record : records.zip().records()) {
    if (records.NameOf(record).starts_with("data/")) continue;
    const Status status = record.deflated ? records.zip().Read(record, record.bytes).status()
                                          : records.zip().CheckCrc(record);
    if (!status.ok()) {
      results.push_back("record " + std::string(records.NameOf(record)) +
                        ": content does not match its CRC-32");
    }
  }
  return results;
}

}  // namespace vlaserve
