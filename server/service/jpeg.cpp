#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h uses FILE without including it
#include <string>
#include <vector>

#include <jpeglib.h>

#include "server/service/picture.h"

namespace vlaserve {
namespace {

// A progressive file of a few kilobytes can ask for any number of passes over 16 million pixels.
constexpr int kMaxScans = 100;

Status Bad(std::string message) { return {StatusCode::kInvalidArgument, std::move(message)}; }

// libjpeg reports errors by longjmp. Every function that can be jumped out of is a member of this
// class with only trivial locals; whatever must be freed is a member.
class JpegReader {
 public:
  explicit JpegReader(std::string_view bytes) : bytes_(bytes) {
    jpeg_.err = jpeg_std_error(&errors_);
    jpeg_.client_data = this;
    errors_.error_exit = [](j_common_ptr jpeg) { Of(jpeg)->Fail(); };
    // Level -1 is a warning: the data is damaged and libjpeg would guess.
    errors_.emit_message = [](j_common_ptr jpeg, int level) {
      if (level < 0) Of(jpeg)->Fail();
    };
    progress_.progress_monitor = [](j_common_ptr jpeg) {
      JpegReader* reader = Of(jpeg);
      if (reader->jpeg_.input_scan_number > kMaxScans) {
        reader->too_many_scans_ = true;
        std::longjmp(reader->jump_, 1);
      }
    };
  }
  ~JpegReader() { jpeg_destroy_decompress(&jpeg_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  bool ReadHeader() {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_.progress = &progress_;
    jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size());
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }

  // Fills height * width * 3 bytes.
  bool ReadPixels(uint8_t* pixels) {
    if (setjmp(jump_) != 0) return false;
    jpeg_.out_color_space = JCS_RGB;
    jpeg_start_decompress(&jpeg_);
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW row = pixels + size_t{3} * jpeg_.output_width * jpeg_.output_scanline;
      jpeg_read_scanlines(&jpeg_, &row, 1);
    }
    jpeg_finish_decompress(&jpeg_);
    return true;
  }

  const jpeg_decompress_struct& jpeg() const { return jpeg_; }

  // What libjpeg said when a function above returned false.
  std::string message() const {
    if (too_many_scans_) {
      return "the JPEG has more than " + std::to_string(kMaxScans) + " scans";
    }
    return std::string("not a readable JPEG: ") + message_;
  }

 private:
  static JpegReader* Of(j_common_ptr jpeg) { return static_cast<JpegReader*>(jpeg->client_data); }

  [[noreturn]] void Fail() {
    errors_.format_message(reinterpret_cast<j_common_ptr>(&jpeg_), message_);
    std::longjmp(jump_, 1);
  }

  std::string_view bytes_;
  jpeg_decompress_struct jpeg_ = {};
  jpeg_error_mgr errors_ = {};
  jpeg_progress_mgr progress_ = {};
  std::jmp_buf jump_ = {};
  bool too_many_scans_ = false;
  char message_[JMSG_LENGTH_MAX] = {};
};

// The header's size, or why the picture is refused.
Result<PictureSize> CheckHeader(JpegReader& reader) {
  if (!reader.ReadHeader()) return Bad(reader.message());
  const jpeg_decompress_struct& jpeg = reader.jpeg();
  VLASERVE_RETURN_IF_ERROR(CheckPictureSize(jpeg.image_height, jpeg.image_width));
  if (jpeg.jpeg_color_space != JCS_YCbCr && jpeg.jpeg_color_space != JCS_RGB &&
      jpeg.jpeg_color_space != JCS_GRAYSCALE) {
    return Bad("the JPEG has " + std::to_string(jpeg.num_components) +
               " components that are not YCbCr, RGB or grey (CMYK?)");
  }
  return PictureSize{jpeg.image_height, jpeg.image_width};
}

}  // namespace

Result<PictureSize> ReadJpegHeader(std::string_view bytes) {
  JpegReader reader(bytes);
  return CheckHeader(reader);
}

Result<RgbImage> DecodeJpeg(std::string_view bytes) {
  JpegReader reader(bytes);
  VLASERVE_ASSIGN_OR_RETURN(const PictureSize size, CheckHeader(reader));
  RgbImage image{size.height, size.width, {}};
  image.pixels.resize(size_t{3} * size.height * size.width);
  if (!reader.ReadPixels(image.pixels.data())) return Bad(reader.message());
  return image;
}

}  // namespace vlaserve
