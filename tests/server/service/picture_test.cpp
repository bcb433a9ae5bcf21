#include "server/service/picture.h"

#include <string>
#include <vector>

#include <png.h>

#include "tests/server/service/support/picture_files.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

using testing::EncodeJpeg;
using testing::EncodePng;
using testing::JpegSpec;
using testing::PngSpec;
using testing::RampPixels;
using testing::RampPng;
using testing::WithPngData;

// The reason why both the header check and the decoder, or only the decoder, refuse a picture.
std::string Refusal(const Result<RgbImage>& result) {
  REQUIRE_FALSE(result.ok());
  CHECK(result.status().code() == StatusCode::kInvalidArgument);
  return result.status().message();
}

bool Contains(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

TEST_CASE("RGB PNGs are decoded exactly, interlaced or not, whatever gamma they claim") {
  PngSpec spec;
  spec.height = 13;
  spec.width = 17;
  spec.rows = RampPixels(size_t{3} * 13 * 17);
  spec.interlaced = GENERATE(false, true);
  spec.srgb_gamma_chunks = GENERATE(false, true);
  const Result<RgbImage> image = DecodePng(EncodePng(spec));
  REQUIRE(image.ok());
  CHECK(image->height == 13);
  CHECK(image->width == 17);
  CHECK(image->pixels == spec.rows);
}

TEST_CASE("grey PNGs of 1, 2, 4 and 8 bits are expanded exactly") {
  const int depth = GENERATE(1, 2, 4, 8);
  PngSpec spec;
  spec.height = 1;
  spec.width = 8;
  spec.color_type = PNG_COLOR_TYPE_GRAY;
  spec.bit_depth = depth;
  // The lowest value, the highest, and so on.
  const int top = (1 << depth) - 1;
  std::vector<uint8_t> expected;
  spec.rows.assign(static_cast<size_t>(depth), 0);
  for (int i = 0; i < 8; ++i) {
    const int value = i % 2 == 0 ? 0 : top;
    spec.rows[static_cast<size_t>(i * depth / 8)] = static_cast<uint8_t>(
        spec.rows[static_cast<size_t>(i * depth / 8)] | value << (8 - depth - i * depth % 8));
    expected.insert(expected.end(), 3, static_cast<uint8_t>(value == 0 ? 0 : 255));
  }
  const Result<RgbImage> image = DecodePng(EncodePng(spec));
  REQUIRE(image.ok());
  CHECK(image->pixels == expected);
}

TEST_CASE("palette PNGs are expanded exactly and refused when an entry in use is transparent") {
  PngSpec spec;
  spec.height = 1;
  spec.width = 3;
  spec.color_type = PNG_COLOR_TYPE_PALETTE;
  spec.palette = {10, 20, 30, 40, 50, 60, 70, 80, 90};
  spec.rows = {2, 0, 1};
  const Result<RgbImage> image = DecodePng(EncodePng(spec));
  REQUIRE(image.ok());
  CHECK(image->pixels == std::vector<uint8_t>{70, 80, 90, 10, 20, 30, 40, 50, 60});

  spec.palette_alpha = {255, 128, 255};
  CHECK(Contains(Refusal(DecodePng(EncodePng(spec))), "not opaque at row 0, column 2"));
  spec.rows = {2, 0, 2};  // the entry that is half transparent is not used
  CHECK(DecodePng(EncodePng(spec)).ok());
}

TEST_CASE("a palette index beyond the palette is refused, not painted black") {
  const int depth = GENERATE(4, 8);
  PngSpec spec;
  spec.height = 1;
  spec.width = 2;
  spec.color_type = PNG_COLOR_TYPE_PALETTE;
  spec.bit_depth = depth;
  spec.palette = {10, 20, 30, 40, 50, 60};
  spec.rows = depth == 8 ? std::vector<uint8_t>{1, 0} : std::vector<uint8_t>{0x10};
  const std::string png = EncodePng(spec);
  REQUIRE(DecodePng(png).ok());
  const std::string row = depth == 8 ? std::string("\0\1\5", 3) : std::string("\0\x15", 2);
  CHECK(Contains(Refusal(DecodePng(WithPngData(png, row, ""))),
                 "palette index 5 at row 0, column 1; its palette has 2 colours"));
}

TEST_CASE("a PNG with more pixels than its header says, or other bytes behind them, is refused") {
  const std::string png = RampPng(2, 1);
  const std::string rows("\0abc\0def", 8);
  REQUIRE(DecodePng(WithPngData(png, rows, "")).ok());
  CHECK(Contains(Refusal(DecodePng(WithPngData(png, rows + rows, ""))), "not a readable PNG"));
  CHECK(Contains(Refusal(DecodePng(WithPngData(png, rows, "junkjunk"))), "not a readable PNG"));
}

TEST_CASE("an alpha channel is dropped where it is opaque everywhere and refused otherwise") {
  PngSpec spec;
  spec.height = 2;
  spec.width = 2;
  spec.color_type = PNG_COLOR_TYPE_RGB_ALPHA;
  spec.rows = {1, 2, 3, 255, 4, 5, 6, 255, 7, 8, 9, 255, 10, 11, 12, 255};
  const Result<RgbImage> image = DecodePng(EncodePng(spec));
  REQUIRE(image.ok());
  CHECK(image->pixels == std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  spec.rows[11] = 254;
  CHECK(Contains(Refusal(DecodePng(EncodePng(spec))), "not opaque at row 1, column 0"));

  PngSpec grey;
  grey.height = 1;
  grey.width = 2;
  grey.color_type = PNG_COLOR_TYPE_GRAY_ALPHA;
  grey.rows = {7, 255, 9, 255};
  const Result<RgbImage> expanded = DecodePng(EncodePng(grey));
  REQUIRE(expanded.ok());
  CHECK(expanded->pixels == std::vector<uint8_t>{7, 7, 7, 9, 9, 9});
}

TEST_CASE("a transparent colour in an RGB PNG is refused where a pixel has it") {
  PngSpec spec;
  spec.height = 1;
  spec.width = 2;
  spec.transparent_black = true;
  spec.rows = {1, 1, 1, 0, 0, 0};
  CHECK(Contains(Refusal(DecodePng(EncodePng(spec))), "not opaque at row 0, column 1"));
  spec.rows = {1, 1, 1, 0, 0, 1};
  CHECK(DecodePng(EncodePng(spec)).ok());
}

TEST_CASE("16-bit and animated PNGs are refused by their header") {
  PngSpec deep;
  deep.height = 1;
  deep.width = 1;
  deep.bit_depth = 16;
  deep.rows = {0, 1, 2, 3, 4, 5};
  CHECK(Contains(Refusal(DecodePng(EncodePng(deep))), "16 bits a channel"));
  CHECK_FALSE(ReadPngHeader(EncodePng(deep)).ok());

  const std::string animated =
      testing::WithPngChunk(RampPng(4, 4), "acTL", std::string("\0\0\0\2\0\0\0\0", 8));
  CHECK(Contains(Refusal(DecodePng(animated)), "animated"));
  CHECK_FALSE(ReadPngHeader(animated).ok());
}

TEST_CASE("the sides of a picture are checked before anything is decompressed") {
  struct Case {
    uint32_t height, width;
    bool ok;
  };
  const Case c = GENERATE(Case{0, 8, false}, Case{8, 0, false}, Case{1, 1, true},
                          Case{4096, 4096, true}, Case{4097, 1, false}, Case{1, 4097, false},
                          Case{20000, 20000, false}, Case{0xFFFFFFFF, 0xFFFFFFFF, false});
  CAPTURE(c.height, c.width);
  const std::string png = testing::WithPngSize(RampPng(8, 8), c.height, c.width);
  CHECK(ReadPngHeader(png).ok() == c.ok);
  if (!c.ok) CHECK(Contains(Refusal(DecodePng(png)), "expected 1 to 4096"));
  if (c.height <= 0xFFFF && c.height > 0 && c.width > 0) {  // libjpeg refuses 0 in its own words
    const std::string jpeg = testing::WithJpegSize(EncodeJpeg({}), static_cast<uint16_t>(c.height),
                                                   static_cast<uint16_t>(c.width));
    CHECK(ReadJpegHeader(jpeg).ok() == c.ok);
    if (!c.ok) CHECK(Contains(Refusal(DecodeJpeg(jpeg)), "expected 1 to 4096"));
  }
}

TEST_CASE("a JPEG without rows or columns is refused") {
  CHECK(Contains(Refusal(DecodeJpeg(testing::WithJpegSize(EncodeJpeg({}), 0, 8))),
                 "not a readable JPEG"));
  CHECK(Contains(Refusal(DecodeJpeg(testing::WithJpegSize(EncodeJpeg({}), 8, 0))),
                 "not a readable JPEG"));
}

TEST_CASE("a PNG that is cut anywhere is refused") {
  const std::string png = RampPng(9, 7);
  for (size_t size = 0; size < png.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(DecodePng(png.substr(0, size)).ok());
  }
  CHECK(DecodePng(png).ok());
}

TEST_CASE("a PNG with one flipped bit anywhere is refused") {
  const std::string png = RampPng(9, 7);
  for (size_t byte = 0; byte < png.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string broken = png;
      broken[byte] = static_cast<char>(broken[byte] ^ 1 << bit);
      CAPTURE(byte, bit);
      CHECK_FALSE(DecodePng(broken).ok());
    }
  }
}

TEST_CASE("foreign bytes are refused as PNG and as JPEG") {
  const std::string bytes = GENERATE(std::string(), std::string("GIF89a"), std::string(1000, 'x'));
  CHECK(Contains(Refusal(DecodePng(bytes)), "not a PNG"));
  CHECK(Contains(Refusal(DecodeJpeg(bytes)), "not a readable JPEG"));
  CHECK_FALSE(DecodePng(EncodeJpeg({})).ok());
  CHECK_FALSE(DecodeJpeg(RampPng(2, 2)).ok());
}

TEST_CASE("colour and grey JPEGs are decoded, baseline and progressive") {
  JpegSpec spec;
  spec.progressive = GENERATE(false, true);
  spec.components = GENERATE(1, 3);
  spec.pixels.assign(size_t{16} * 24 * static_cast<size_t>(spec.components), 77);
  const std::string jpeg = EncodeJpeg(spec);
  const Result<PictureSize> header = ReadJpegHeader(jpeg);
  REQUIRE(header.ok());
  CHECK(header->height == 16);
  CHECK(header->width == 24);
  const Result<RgbImage> image = DecodeJpeg(jpeg);
  REQUIRE(image.ok());
  // A uniform picture survives JPEG unchanged.
  CHECK(image->pixels == std::vector<uint8_t>(size_t{16} * 24 * 3, 77));
}

TEST_CASE("CMYK JPEGs are refused by their header") {
  JpegSpec spec;
  spec.components = 4;
  const std::string jpeg = EncodeJpeg(spec);
  CHECK(Contains(Refusal(DecodeJpeg(jpeg)), "CMYK"));
  CHECK_FALSE(ReadJpegHeader(jpeg).ok());
}

TEST_CASE("a JPEG that is cut anywhere is refused") {
  JpegSpec spec;
  spec.pixels = RampPixels(size_t{16} * 24 * 3);
  spec.progressive = GENERATE(false, true);
  const std::string jpeg = EncodeJpeg(spec);
  for (size_t size = 0; size < jpeg.size(); ++size) {
    CAPTURE(size, jpeg.size());
    CHECK_FALSE(DecodeJpeg(jpeg.substr(0, size)).ok());
  }
  CHECK(DecodeJpeg(jpeg).ok());
}

TEST_CASE("a JPEG with more scans than anyone needs is refused") {
  JpegSpec spec;
  spec.pixels = RampPixels(size_t{16} * 24 * 3);
  spec.scan_per_coefficient = true;
  CHECK(Contains(Refusal(DecodeJpeg(EncodeJpeg(spec))), "more than 100 scans"));
  spec.components = 1;  // 64 scans
  spec.pixels.resize(size_t{16} * 24);
  CHECK(DecodeJpeg(EncodeJpeg(spec)).ok());
}

}  // namespace
}  // namespace vlaserve
