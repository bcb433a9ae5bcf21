// The names that a TorchScript pickle may refer to.
// Source: torch/csrc/jit/serialization/pickler.cpp (what is written) and unpickler.cpp (what it
// does).
#pragma once

#include <cstdint>
#include <string_view>

namespace vlaserve {

enum class PickleGlobal {
  kStorageType,  // torch.FloatStorage: the element type of a storage
  kFunction,     // one of the fixed builders of tensors, typed lists, devices
  kClass,        // a class of the archive's own code
  kCustomClass,  // a C++ class registered with LibTorch: constructing it runs code
  kRefused
};

PickleGlobal ClassifyPickleGlobal(std::string_view module, std::string_view name);

// Bytes of one element of "Float", "BFloat16", …; 0 for a name that is not an element type that a
// dense, unquantized tensor can have.
int64_t PickleElementBytes(std::string_view dtype);

// Whether the type of a container ("Dict[str, Tensor]") is made of plain names, brackets and
// commas, and names no custom class.
bool IsPlainTypeTag(std::string_view tag);

}  // namespace vlaserve
