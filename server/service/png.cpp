#include <csetjmp>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <png.h>

#include "server/service/picture.h"

namespace vlaserve {
namespace {

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
constexpr size_t kChunkOverhead = 12;  // length, type, CRC

Status Bad(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

uint32_t BigEndian32(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[offset + i]);
  }
  return value;
}

// libpng reports errors by longjmp. Every function that can be jumped out of is a member of this
// class with only trivial locals; whatever must be freed is a member.
class PngReader {
 public:
  explicit PngReader(std::string_view bytes) : rest_(bytes) {}
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  // Reads up to the pixels and sets up the conversion to palette indices of one byte, else to 8-bit
  // RGB or RGBA.
  bool ReadInfo() {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &PngReader::OnError,
                                  &PngReader::OnWarning);
    if (png_ == nullptr) return false;
    info_ = png_create_info_struct(png_);
    if (info_ == nullptr) return false;
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, &PngReader::OnRead);
    png_set_user_limits(png_, kMaxImageSide, kMaxImageSide);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_benign_errors(png_, 0);
    // Compressed text and profiles in ancillary chunks are a way to make libpng work and allocate.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    if (png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE) {
      png_set_packing(png_);
      png_set_check_for_invalid_index(png_, 0);  // ApplyPalette says which and where
    } else {
      png_set_expand(png_);  // 1/2/4-bit grey → 8 bits, tRNS → alpha
      png_set_gray_to_rgb(png_);
    }
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  uint32_t height() const { return png_get_image_height(png_, info_); }
  uint32_t width() const { return png_get_image_width(png_, info_); }
  size_t channels() const { return png_get_channels(png_, info_); }
  size_t row_bytes() const { return png_get_rowbytes(png_, info_); }

  // Fills height() * row_bytes() bytes and reads on to the end of the file.
  bool ReadPixels(uint8_t* pixels) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    for (int pass = 0; pass < passes_; ++pass) {
      for (uint32_t row = 0; row < height(); ++row) {
        png_read_row(png_, pixels + row * row_bytes(), nullptr);
      }
    }
    png_read_end(png_, nullptr);
    return true;
  }

  // Empty unless the pixels are indices into it.
  std::span<const png_color> palette() const {
    png_colorp colors = nullptr;
    int count = 0;
    if (channels() == 1) png_get_PLTE(png_, info_, &colors, &count);
    return {colors, static_cast<size_t>(count)};
  }
  // Alpha of the palette's first entries; the others are opaque.
  std::span<const png_byte> palette_alpha() const {
    png_bytep alpha = nullptr;
    int count = 0;
    png_get_tRNS(png_, info_, &alpha, &count, nullptr);
    return {alpha, static_cast<size_t>(count)};
  }

  // What libpng said when a function above returned false.
  std::string message() const {
    return std::string("not a readable PNG: ") + (message_[0] != 0 ? message_ : "out of memory");
  }

 private:
  [[noreturn]] static void OnError(png_structp png, png_const_charp message) {
    auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(reader->message_, message, sizeof(reader->message_) - 1);
    png_longjmp(png, 1);
  }

  // libpng warns of damage that it has an idea how to cover up.
  [[noreturn]] static void OnWarning(png_structp png, png_const_charp message) {
    OnError(png, message);
  }

  static void OnRead(png_structp png, png_bytep out, size_t size) {
    auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
    if (size > reader->rest_.size()) png_error(png, "the data ends too early");
    std::memcpy(out, reader->rest_.data(), size);
    reader->rest_.remove_prefix(size);
  }

  std::string_view rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int passes_ = 1;
  char message_[128] = {};
};

std::string Place(size_t pixel, size_t width) {
  return "row " + std::to_string(pixel / width) + ", column " + std::to_string(pixel % width);
}

// RGBA of palette indices. libpng would paint an index beyond the palette black.
Result<std::vector<uint8_t>> ApplyPalette(const std::vector<uint8_t>& indices,
                                          std::span<const png_color> palette,
                                          std::span<const png_byte> alpha, size_t width) {
  std::vector<uint8_t> pixels;
  pixels.reserve(4 * indices.size());
  for (size_t i = 0; i < indices.size(); ++i) {
    const size_t index = indices[i];
    if (index >= palette.size()) {
      return Bad("the PNG has palette index " + std::to_string(index) + " at " + Place(i, width) +
                 "; its palette has " + std::to_string(palette.size()) + " colours");
    }
    const uint8_t opacity = index < alpha.size() ? alpha[index] : uint8_t{255};
    pixels.insert(pixels.end(),
                  {palette[index].red, palette[index].green, palette[index].blue, opacity});
  }
  return pixels;
}

}  // namespace

Result<PictureSize> ReadPngHeader(std::string_view bytes) {
  constexpr size_t kHeaderEnd = 8 + kChunkOverhead + 13;
  if (bytes.substr(0, kSignature.size()) != kSignature) {
    return Bad("not a PNG: the signature is missing");
  }
  if (bytes.size() < kHeaderEnd || BigEndian32(bytes, 8) != 13 || bytes.substr(12, 4) != "IHDR") {
    return Bad("not a readable PNG: the header chunk IHDR is missing or incomplete");
  }
  const PictureSize size{BigEndian32(bytes, 20), BigEndian32(bytes, 16)};
  VLASERVE_RETURN_IF_ERROR(CheckPictureSize(size.height, size.width));
  const int depth = static_cast<unsigned char>(bytes[24]);
  if (depth > 8) {
    return Bad("the PNG has " + std::to_string(depth) + " bits a channel, expected at most 8");
  }
  for (size_t at = kHeaderEnd; at + kChunkOverhead <= bytes.size();) {
    const std::string_view type = bytes.substr(at + 4, 4);
    if (type == "IDAT") break;
    if (type == "acTL") return Bad("the PNG is animated, expected a single picture");
    at += kChunkOverhead + BigEndian32(bytes, at);
  }
  return size;
}

Result<RgbImage> DecodePng(std::string_view bytes) {
  VLASERVE_ASSIGN_OR_RETURN(const PictureSize size, ReadPngHeader(bytes));
  PngReader reader(bytes);
  if (!reader.ReadInfo()) return Bad(reader.message());
  size_t channels = reader.channels();
  const bool indexed = !reader.palette().empty();
  if (reader.height() != size.height || reader.width() != size.width ||
      (!indexed && channels != 3 && channels != 4) || reader.row_bytes() != size.width * channels) {
    return Bad("not a readable PNG: unexpected layout of the pixels");
  }
  std::vector<uint8_t> pixels(size.height * reader.row_bytes());
  if (!reader.ReadPixels(pixels.data())) return Bad(reader.message());
  if (indexed) {
    VLASERVE_ASSIGN_OR_RETURN(
        pixels, ApplyPalette(pixels, reader.palette(), reader.palette_alpha(), size.width));
    channels = 4;
  }

  if (channels == 4) {
    const size_t count = static_cast<size_t>(size.height) * size.width;
    for (size_t i = 0; i < count; ++i) {
      if (pixels[4 * i + 3] != 255) {
        return Bad("the PNG is not opaque at " + Place(i, size.width) +
                   "; expected RGB, or alpha 255 everywhere");
      }
      // In place: the write position never passes the read position.
      for (size_t c = 0; c < 3; ++c) pixels[3 * i + c] = pixels[4 * i + c];
    }
    pixels.resize(3 * count);
  }
  return RgbImage{size.height, size.width, std::move(pixels)};
}

}  // namespace vlaserve
