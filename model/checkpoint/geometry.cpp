#include "model/checkpoint/geometry.h"

namespace vlaserve {

std::string_view PolicyTypeName(PolicyType type) {
  return type == PolicyType::kPi0 ? "pi0" : "pi05";
}

}  // namespace vlaserve
