#include "server/service/request.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <google/protobuf/unknown_field_set.h>

#include <google/protobuf/empty.pb.h>
#include <google/protobuf/wrappers.pb.h>

#include "model/settings/cameras.h"
#include "server/service/picture.h"
#include "server/service/text.h"
#include "vlaserve/v1/policy.grpc.pb.h"  // brings gRPC's serialization of messages

namespace vlaserve {
namespace {

Status Invalid(std::string field, std::string message) {
  return {StatusCode::kInvalidArgument, std::move(field), std::move(message)};
}

// Protobuf itself is asked: a StringValue has the same bytes on the wire as a BytesValue.
bool IsUtf8(const std::string& text) {
  google::protobuf::BytesValue bytes;
  bytes.set_value(text);
  return google::protobuf::StringValue().ParseFromString(bytes.SerializeAsString());
}

// The path of the first text field that is not UTF-8; empty if there is none.
std::string FindBadText(const google::protobuf::UnknownFieldSet& fields,
                        const google::protobuf::Descriptor& message, const std::string& prefix) {
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    const auto* descriptor = message.FindFieldByNumber(field.number());
    if (descriptor == nullptr ||
        field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    std::string path = prefix + descriptor->name();
    if (descriptor->type() == google::protobuf::FieldDescriptor::TYPE_STRING &&
        !IsUtf8(field.length_delimited())) {
      return path;
    }
    google::protobuf::Empty inner;
    if (descriptor->is_map() && inner.ParseFromString(field.length_delimited())) {
      std::string bad =
          FindBadText(google::protobuf::Empty::GetReflection()->GetUnknownFields(inner),
                      *descriptor->message_type(), path + ".");
      if (!bad.empty()) return bad;
    }
  }
  return "";
}

Status CheckId(std::string_view name, const std::string& id) {
  if (id.size() > kMaxIdBytes) {
    return Invalid(std::string(name), std::to_string(id.size()) + " bytes, expected at most " +
                                          std::to_string(kMaxIdBytes));
  }
  if (HasControlCharacters(id)) {
    return Invalid(std::string(name), "contains control characters");
  }
  return Status::Ok();
}

std::string Member(std::string_view camera, std::string_view member) {
  return ImageField(camera).append(".").append(member);
}

Status CheckImage(const std::string& camera, const v1::Image& image) {
  const std::string& data = image.data();
  switch (image.encoding()) {
    case v1::Image::ENCODING_RGB8: {
      const Status size = CheckPictureSize(image.height(), image.width());
      if (!size.ok()) return Invalid(ImageField(camera), size.message());
      const uint64_t expected = uint64_t{3} * image.height() * image.width();
      if (data.size() != expected) {
        return Invalid(Member(camera, "data"),
                       std::to_string(data.size()) + " bytes, expected height * width * 3 = " +
                           std::to_string(image.height()) + " * " + std::to_string(image.width()) +
                           " * 3 = " + std::to_string(expected));
      }
      return Status::Ok();
    }
    case v1::Image::ENCODING_PNG:
    case v1::Image::ENCODING_JPEG: {
      if (image.height() != 0 || image.width() != 0) {
        return Invalid(Member(camera, image.height() != 0 ? "height" : "width"),
                       "is set, expected unset: the size of a PNG or JPEG is in the file");
      }
      if (data.empty()) return Invalid(Member(camera, "data"), "is empty, expected a picture");
      const Result<PictureSize> header =
          image.encoding() == v1::Image::ENCODING_PNG ? ReadPngHeader(data) : ReadJpegHeader(data);
      if (!header.ok()) return Invalid(Member(camera, "data"), header.status().message());
      return Status::Ok();
    }
    case v1::Image::ENCODING_UNSPECIFIED:
      return Invalid(Member(camera, "encoding"),
                     "is unset, expected ENCODING_RGB8, ENCODING_PNG or ENCODING_JPEG");
    default:
      return Invalid(Member(camera, "encoding"),
                     "is " + std::to_string(static_cast<int>(image.encoding())) +
                         ", expected ENCODING_RGB8, ENCODING_PNG or ENCODING_JPEG");
  }
}

}  // namespace

Status ParseInferRequest(grpc::ByteBuffer& bytes, v1::InferRequest& request) {
  grpc::ByteBuffer copy = bytes;  // shares the slices: parsing consumes the buffer
  if (grpc::SerializationTraits<v1::InferRequest>::Deserialize(&bytes, &request).ok()) {
    return Status::Ok();
  }
  bytes.Clear();
  request.Clear();
  google::protobuf::Empty raw;
  if (grpc::SerializationTraits<google::protobuf::Empty>::Deserialize(&copy, &raw).ok()) {
    const std::string field =
        FindBadText(google::protobuf::Empty::GetReflection()->GetUnknownFields(raw),
                    *v1::InferRequest::descriptor(), "");
    if (!field.empty()) return Invalid(field, "is not valid UTF-8");
  }
  return {StatusCode::kInvalidArgument, "the message is not a serialized vlaserve.v1.InferRequest"};
}

Status CheckInferRequest(const v1::InferRequest& request, const PolicySettings& settings) {
  VLASERVE_RETURN_IF_ERROR(CheckId("session_id", request.session_id()));
  VLASERVE_RETURN_IF_ERROR(CheckId("request_id", request.request_id()));
  std::vector<std::string_view> names;
  for (const auto& [name, image] : request.images()) names.push_back(name);
  const Status cameras = CheckCameraNames(settings, names);
  if (!cameras.ok()) return Invalid(Printable(cameras.field()), cameras.message());
  for (const Camera& camera : settings.cameras) {
    const auto found = camera.name ? request.images().find(*camera.name) : request.images().end();
    if (found == request.images().end()) continue;
    VLASERVE_RETURN_IF_ERROR(CheckImage(*camera.name, found->second));
  }
  return Status::Ok();
}

Result<Observation> DecodeObservation(const v1::InferRequest& request) {
  Observation observation;
  for (const auto& [name, image] : request.images()) {
    RgbImage& picture = observation.images[name];
    if (image.encoding() == v1::Image::ENCODING_RGB8) {
      picture = {image.height(), image.width(), {image.data().begin(), image.data().end()}};
      continue;
    }
    Result<RgbImage> decoded = image.encoding() == v1::Image::ENCODING_PNG
                                   ? DecodePng(image.data())
                                   : DecodeJpeg(image.data());
    if (!decoded.ok()) return Invalid(Member(name, "data"), decoded.status().message());
    picture = *std::move(decoded);
  }
  observation.state.assign(request.state().begin(), request.state().end());
  if (request.has_prompt()) observation.prompt = request.prompt();
  return observation;
}

InferOptions MakeInferOptions(const v1::InferRequest& request, int64_t num_steps,
                              const std::function<uint64_t()>& draw_seed) {
  InferOptions options;
  options.noise.assign(request.noise().begin(), request.noise().end());
  if (request.has_seed()) {
    options.seed = request.seed();
  } else if (options.noise.empty()) {
    options.seed = draw_seed();
  }
  options.num_steps = request.has_num_steps() ? int64_t{request.num_steps()} : num_steps;
  return options;
}

}  // namespace vlaserve
