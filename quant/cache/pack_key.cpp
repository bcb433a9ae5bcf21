#include <utility>

#include "model/io/hash.h"
#include "quant/cache/pack_cache.h"

namespace vlaserve {

PackKey::PackKey(std::string manifest)
    : manifest_(std::move(manifest)), sha256_(Sha256Hex(manifest_)) {}

}  // namespace vlaserve
