// The two JSON tables of an archive, digests.json and linears.json (FORMAT.md), read and written.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/checkpoint.h"
#include "model/io/dtype.h"
#include "model/io/safetensors.h"
#include "model/io/status.h"

namespace vlaserve {

// Of one stored tensor: little-endian bytes in C order.
struct TensorDigest {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
  std::string sha256;
  uint32_t crc32c = 0;
};

struct Digests {
  std::map<std::string, TensorDigest> tensors;
  std::string archive_sha256;
};

// Of a tensor that is in memory already.
TensorDigest DigestTensor(const TensorView& tensor);

// SHA-256 over one line "name dtype shape sha256\n" per tensor, sorted by name, with dtype as in
// safetensors ("BF16") and the shape as "2,3" (a scalar's is empty).
std::string WeightsSha256(const std::map<std::string, TensorDigest>& digests);

std::string DigestsToJson(const std::map<std::string, TensorDigest>& digests);
std::string LinearsToJson(const std::vector<LinearInfo>& linears);

// `origin` starts every message. Errors (kUnreadable) name JSON pointer, expected and found; also
// for a byte count that does not follow from dtype and shape, and for an archive_sha256 that is not
// that of the tensors.
Result<Digests> ParseDigests(std::string_view json_text, std::string_view origin);
Result<std::vector<LinearInfo>> ParseLinears(std::string_view json_text, std::string_view origin);

}  // namespace vlaserve
