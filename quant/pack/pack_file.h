// The file of a pack: a safetensors file that any safetensors reader opens, with stricter rules and
// checksums. PACK_FORMAT.md describes it byte by byte.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/pack/packed_layer.h"

namespace vlaserve {

// Raise it with every change of PACK_FORMAT.md that older readers would misread.
inline constexpr int kPackFormatVersion = 2;

// Creates `path` (FileSystem::CreateEntry) with the pack in it. `manifest`: of its key.
// `provenance`: JSON for people, not checked. Errors: kInternal if the arrays of `pack` do not fit
// its sizes; those of the file system.
Status WritePackFile(FileSystem& files, const std::string& path, const PackedLayer& pack,
                     const std::string& manifest, const std::string& provenance);

struct PackFile {
  PackedLayer layer;  // views into the file, which it owns
  std::string manifest;
  std::string provenance;
};

enum class PackChecksums { kVerify, kSkip };

// Reads a mapped pack file. Checked always: sizes, header and its checksum, format version, layout,
// that the arrays fit each other and that permutation entries are columns; with kVerify also the
// checksum of every array. Errors (kUnreadable) begin with `path`.
Result<PackFile> ReadPackFile(std::shared_ptr<const MappedFile> file, const std::string& path,
                              PackChecksums checksums);

}  // namespace vlaserve
