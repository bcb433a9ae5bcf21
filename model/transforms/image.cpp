#include "model/transforms/image.h"

#include <string>

namespace vlaserve {

Status CheckPictureSize(uint64_t height, uint64_t width) {
  if (height >= 1 && height <= kMaxImageSide && width >= 1 && width <= kMaxImageSide) {
    return Status::Ok();
  }
  return {StatusCode::kInvalidArgument, "the picture has " + std::to_string(height) + " rows and " +
                                            std::to_string(width) + " columns, expected 1 to " +
                                            std::to_string(kMaxImageSide) + " of each"};
}

}  // namespace vlaserve
