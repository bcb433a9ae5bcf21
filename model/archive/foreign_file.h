// Recognises files that people pass where an archive is expected.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "model/archive/zip_reader.h"

namespace vlaserve {

// What a file that does not start like a zip is, and what to do: "a safetensors file; …". Unset:
// not recognised.
std::optional<std::string> DescribeForeignFile(std::span<const std::byte> bytes);

// The same for a valid zip without TorchScript in it.
std::string DescribeForeignZip(const ZipReader& zip);

}  // namespace vlaserve
