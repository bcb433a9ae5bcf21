// Read-only mappings of open files. Private to model/io.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "model/io/file_system.h"
#include "model/io/posix_descriptor.h"

namespace vlaserve {

// The first `size` bytes of an open file, which may be closed afterwards.
Result<std::shared_ptr<const MappedFile>> MapDescriptor(const Descriptor& descriptor, size_t size,
                                                        const std::string& path);
// The same; the file stays open, with the locks that it has, while the mapping lives.
Result<std::shared_ptr<const MappedFile>> MapAndKeep(Descriptor descriptor, size_t size,
                                                     const std::string& path);

}  // namespace vlaserve
