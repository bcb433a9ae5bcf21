// A pickle of a TorchScript archive, read without executing anything.
//
// LibTorch's unpickler trusts its input: it indexes, allocates and builds tensors as the pickle
// says. This reader follows the same stream with the same meaning and lets through only what
// TorchScript's own pickler writes, so that the unpickler never sees anything else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/io/status.h"

namespace vlaserve {

struct PickledStorage {
  std::string dtype;  // torch's name, "Float" for instance
  int64_t element_bytes = 0;
  int64_t elements = 0;
};

struct PickleSummary {
  // Whether the pickle's value is an object (a module) or a tuple; nothing else is accepted.
  bool is_object = false;
  // Tensor storages by record key ("0" is the record data/0 or constants/0).
  std::map<std::string, PickledStorage> storages;
};

// `origin` ("policy.pt: data.pkl") starts every message, which names the byte. kUnreadable for
//  - protocols other than 2, opcodes and globals that TorchScript does not write (custom classes,
//    quantized and sparse tensors among them),
//  - any stack, mark or memo access that does not fit,
//  - tensors that reach outside of their storage, or one storage with two types or sizes,
//  - values nested deeper than 200, or more than 16 MB of pickle.
Result<PickleSummary> CheckPickle(std::string_view pickle, std::string_view origin);

}  // namespace vlaserve
