#include "model/transforms/sentencepiece_model.h"

#include <bit>
#include <cmath>
#include <optional>
#include <string>

#include "model/transforms/wire_reader.h"

namespace vlaserve {
namespace {

// TrainerSpec.ModelType.
constexpr uint64_t kUnigram = 1;
constexpr uint64_t kBpe = 2;

// The options that must have one value; initially SentencePiece's defaults.
struct Options {
  uint64_t model_type = kUnigram;
  std::string_view precompiled_charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

std::string_view ModelTypeName(uint64_t type) {
  switch (type) {
    case kUnigram:
      return "unigram";
    case kBpe:
      return "BPE";
    case 3:
      return "word";
    case 4:
      return "char";
    default:
      return "unknown";
  }
}

// Calls `handle(field)` for every field of a message.
template <typename Handle>
Status ForEachField(std::string_view message, size_t offset, Handle handle) {
  WireReader reader(message, offset);
  for (;;) {
    VLASERVE_ASSIGN_OR_RETURN(const std::optional<WireField> field, reader.Next());
    if (!field) return Status::Ok();
    VLASERVE_RETURN_IF_ERROR(handle(*field, reader));
  }
}

Status ReadText(const WireField& field, std::string_view name, std::string_view& text) {
  VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kBytes, name));
  text = field.bytes;
  return Status::Ok();
}

Status ReadBool(const WireField& field, std::string_view name, bool& value) {
  VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kVarint, name));
  value = field.value != 0;
  return Status::Ok();
}

// The name of a special piece; like SentencePiece, an empty one means the default.
Status ReadPieceName(const WireField& field, std::string_view name, std::string_view& piece) {
  std::string_view text;
  VLASERVE_RETURN_IF_ERROR(ReadText(field, name, text));
  if (!text.empty()) piece = text;
  return Status::Ok();
}

Status ReadPieceField(const WireField& field, SentencePiece& piece) {
  switch (field.number) {
    case 1:
      return ReadText(field, "pieces.piece", piece.text);
    case 2:
      VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kFixed32, "pieces.score"));
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
      if (!std::isfinite(piece.score)) {
        return Status(StatusCode::kUnreadable, "byte " + std::to_string(field.offset) +
                                                   ": pieces.score is not a finite number");
      }
      return Status::Ok();
    case 3:
      VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kVarint, "pieces.type"));
      if (field.value < 1 || field.value > 6) {
        return Status(StatusCode::kUnreadable,
                      "byte " + std::to_string(field.offset) + ": pieces.type is " +
                          std::to_string(field.value) + ", expected 1 to 6");
      }
      piece.type = static_cast<PieceType>(field.value);
      return Status::Ok();
    default:
      return Status::Ok();
  }
}

Status ReadTrainerField(const WireField& field, Options& options, SentencePieceModel& model) {
  switch (field.number) {
    case 3:
      VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kVarint, "trainer_spec.model_type"));
      options.model_type = field.value;
      return Status::Ok();
    case 35:
      return ReadBool(field, "trainer_spec.byte_fallback", model.byte_fallback);
    case 46:
      return ReadPieceName(field, "trainer_spec.bos_piece", model.bos_piece);
    case 47:
      return ReadPieceName(field, "trainer_spec.eos_piece", model.eos_piece);
    case 48:
      return ReadPieceName(field, "trainer_spec.pad_piece", model.pad_piece);
    default:
      return Status::Ok();
  }
}

Status ReadNormalizerField(const WireField& field, Options& options) {
  switch (field.number) {
    case 2:
      return ReadText(field, "normalizer_spec.precompiled_charsmap", options.precompiled_charsmap);
    case 3:
      return ReadBool(field, "normalizer_spec.add_dummy_prefix", options.add_dummy_prefix);
    case 4:
      return ReadBool(field, "normalizer_spec.remove_extra_whitespaces",
                      options.remove_extra_whitespaces);
    case 5:
      return ReadBool(field, "normalizer_spec.escape_whitespaces", options.escape_whitespaces);
    default:
      return Status::Ok();
  }
}

Status ReadModelField(const WireField& field, const WireReader& reader, Options& options,
                      SentencePieceModel& model) {
  switch (field.number) {
    case 1: {
      VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kBytes, "pieces"));
      SentencePiece piece;
      piece.offset = field.offset;
      VLASERVE_RETURN_IF_ERROR(ForEachField(
          field.bytes, reader.ContentOffset(field),
          [&](const WireField& inner, const WireReader&) { return ReadPieceField(inner, piece); }));
      model.pieces.push_back(piece);
      return Status::Ok();
    }
    case 2:
      VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kBytes, "trainer_spec"));
      return ForEachField(field.bytes, reader.ContentOffset(field),
                          [&](const WireField& inner, const WireReader&) {
                            return ReadTrainerField(inner, options, model);
                          });
    case 3:
      VLASERVE_RETURN_IF_ERROR(ExpectWireType(field, WireType::kBytes, "normalizer_spec"));
      return ForEachField(field.bytes, reader.ContentOffset(field),
                          [&](const WireField& inner, const WireReader&) {
                            return ReadNormalizerField(inner, options);
                          });
    default:
      return Status::Ok();
  }
}

Status CheckBool(std::string_view name, bool value, bool expected) {
  if (value == expected) return Status::Ok();
  const auto text = [](bool flag) { return flag ? "true" : "false"; };
  return Status(StatusCode::kUnsupported, std::string(name) + " is " + text(value) + "; only " +
                                              text(expected) + " is supported");
}

Status CheckScope(const Options& options) {
  if (options.model_type != kBpe) {
    return Status(StatusCode::kUnsupported, "trainer_spec.model_type is " +
                                                std::to_string(options.model_type) + " (" +
                                                std::string(ModelTypeName(options.model_type)) +
                                                "); only BPE models are supported");
  }
  if (!options.precompiled_charsmap.empty()) {
    return Status(StatusCode::kUnsupported,
                  "normalizer_spec.precompiled_charsmap holds a normalisation table; only identity "
                  "normalisation is supported");
  }
  VLASERVE_RETURN_IF_ERROR(
      CheckBool("normalizer_spec.add_dummy_prefix", options.add_dummy_prefix, false));
  VLASERVE_RETURN_IF_ERROR(CheckBool("normalizer_spec.remove_extra_whitespaces",
                                     options.remove_extra_whitespaces, false));
  return CheckBool("normalizer_spec.escape_whitespaces", options.escape_whitespaces, true);
}

}  // namespace

Result<SentencePieceModel> ParseSentencePieceModel(std::string_view model_bytes) {
  SentencePieceModel model;
  Options options;
  VLASERVE_RETURN_IF_ERROR(
      ForEachField(model_bytes, 0, [&](const WireField& field, const WireReader& reader) {
        return ReadModelField(field, reader, options, model);
      }));
  if (model.pieces.empty()) {
    return Status(StatusCode::kUnreadable,
                  "no pieces found: not a SentencePiece model, expected the tokenizer.model of "
                  "PaliGemma");
  }
  VLASERVE_RETURN_IF_ERROR(CheckScope(options));
  return model;
}

}  // namespace vlaserve
