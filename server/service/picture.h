// Pictures as files: what is accepted, and decoding to 8-bit RGB.
//
// The bytes come from strangers. Sides are checked against kMaxImageSide on the header, before
// anything is allocated or decompressed, so that the work for a picture is bounded by 4096 × 4096
// pixels whatever its header or its compressed data say. Damage of any kind is an error: a picture
// that libpng or libjpeg had to guess at never reaches a robot's policy. All errors are
// kInvalidArgument without a field; their messages say what was found and expected.
//
// Thread-safety: free functions without state.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/io/status.h"
#include "model/transforms/image.h"

namespace vlaserve {

struct PictureSize {
  uint32_t height = 0;
  uint32_t width = 0;
};

// PNG (ISO/IEC 15948). Accepted: 1 to 8 bits a channel, grey, palette, RGB, and alpha or tRNS as
// long as every pixel is opaque; interlaced or not. Grey and palette are expanded and the opaque
// alpha dropped: all exact. Refused: 16 bits a channel, a pixel that is not opaque, animation
// (APNG). Gamma, colour profiles and all other ancillary chunks are skipped unread.
//
// ReadPngHeader looks at IHDR and the chunks before the pixels only; what DecodePng can refuse in
// addition is damage and transparency.
Result<PictureSize> ReadPngHeader(std::string_view bytes);
Result<RgbImage> DecodePng(std::string_view bytes);

// JPEG (ITU-T T.81), baseline or progressive, 8 bits a channel, YCbCr, RGB or grey (expanded,
// exact). Refused: CMYK and YCCK, more than 100 scans, everything libjpeg warns about. Decoded with
// libjpeg-turbo's defaults (accurate integer DCT, smooth chroma upsampling), as Pillow does. The
// EXIF orientation is not applied.
Result<PictureSize> ReadJpegHeader(std::string_view bytes);
Result<RgbImage> DecodeJpeg(std::string_view bytes);

}  // namespace vlaserve
