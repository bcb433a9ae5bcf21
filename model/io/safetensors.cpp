#include "model/io/safetensors.h"

#include <functional>
#include <set>
#include <utility>

#include "model/io/json.h"
#include "model/io/safetensors_header.h"

namespace vlaserve {
namespace {

using nlohmann::json;

Result<std::map<std::string, std::string>> ReadWeightMap(FileSystem& files,
                                                         const std::string& index_path) {
  VLASERVE_ASSIGN_OR_RETURN(const json index, ReadJsonFile(files, index_path));
  const auto error = [&](const std::string& message) {
    return Status(StatusCode::kUnreadable, index_path + ": " + message);
  };
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return error("has no object \"weight_map\"");
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string()) return error("weight_map: \"" + tensor + "\": not a string");
    const auto& name = shard.get_ref<const std::string&>();
    // A stranger's index must not make us read elsewhere.
    if (name.empty() || name.find('/') != std::string::npos) {
      return error("weight_map: \"" + tensor + "\": \"" + name +
                   "\" is not the name of a file in the same directory");
    }
    weight_map.emplace(tensor, name);
  }
  if (weight_map.empty()) return error("weight_map lists no tensors");
  return weight_map;
}

}  // namespace

const TensorView* SafetensorsFile::Find(std::string_view name) const {
  const auto found = tensors_.find(std::string(name));
  return found == tensors_.end() ? nullptr : &found->second;
}

Result<SafetensorsFile> SafetensorsFile::Open(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> mapped, files.Map(path));
  VLASERVE_ASSIGN_OR_RETURN(SafetensorsContent content, ParseSafetensors(mapped->bytes(), path));
  SafetensorsFile file;
  file.path_ = path;
  file.shards_.push_back(std::move(mapped));
  file.tensors_ = std::move(content.tensors);
  file.metadata_ = std::move(content.metadata);
  return file;
}

Result<SafetensorsFile> SafetensorsFile::OpenSharded(FileSystem& files,
                                                     const std::string& index_path) {
  VLASERVE_ASSIGN_OR_RETURN(const auto weight_map, ReadWeightMap(files, index_path));
  std::set<std::string> shard_names;
  for (const auto& [tensor, shard] : weight_map) shard_names.insert(shard);

  const size_t slash = index_path.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : index_path.substr(0, slash + 1);
  SafetensorsFile file;
  file.path_ = index_path;
  for (const std::string& shard_name : shard_names) {
    VLASERVE_ASSIGN_OR_RETURN(SafetensorsFile shard, Open(files, directory + shard_name));
    for (const auto& [tensor, view] : shard.tensors_) {
      const auto listed = weight_map.find(tensor);
      if (listed == weight_map.end() || listed->second != shard_name) {
        return Status(
            StatusCode::kUnreadable,
            index_path + ": tensor \"" + tensor + "\" is in " + shard_name + ", but weight_map " +
                (listed == weight_map.end() ? "does not list it" : "says " + listed->second));
      }
    }
    file.shards_.push_back(std::move(shard.shards_.front()));
    file.tensors_.merge(shard.tensors_);
    file.metadata_.merge(shard.metadata_);
  }
  for (const auto& [tensor, shard] : weight_map) {
    if (!file.tensors_.contains(tensor)) {
      return Status(StatusCode::kUnreadable, index_path + ": tensor \"" + tensor + "\" is not in " +
                                                 shard + ", where weight_map says it is");
    }
  }
  return file;
}

void SafetensorsFile::Release(const TensorView& tensor) const {
  const std::byte* begin = tensor.bytes.data();
  const std::less<const std::byte*> before;  // a total order, also between unrelated mappings
  for (const auto& shard : shards_) {
    const auto bytes = shard->bytes();
    if (before(begin, bytes.data()) || !before(begin, bytes.data() + bytes.size())) continue;
    shard->Release(static_cast<size_t>(begin - bytes.data()), tensor.bytes.size());
    return;
  }
}

Result<SafetensorsWriter> SafetensorsWriter::Create(
    FileSystem& files, const std::string& path, std::vector<Declaration> declarations,
    const std::map<std::string, std::string>& metadata) {
  const auto error = [&](const std::string& name, const std::string& message) {
    return Status(StatusCode::kInvalidArgument, path + ": tensor \"" + name + "\": " + message);
  };
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const Declaration& tensor : declarations) {
    if (tensor.name == "__metadata__" || header.contains(tensor.name)) {
      return error(tensor.name, "name is reserved or declared twice");
    }
    const std::optional<uint64_t> size = CheckedByteSize(tensor.dtype, tensor.shape);
    uint64_t end = 0;
    if (!size || __builtin_add_overflow(offset, *size, &end)) {
      return error(tensor.name, "shape " + ShapeToString(tensor.shape) +
                                    " has a negative dimension or is larger than any file");
    }
    header[tensor.name] = {{"dtype", DTypeName(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }

  // Invalid UTF-8 in a name is replaced instead of thrown over.
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  // Spaces at the end make the data section start at a multiple of 64 bytes (format: "MAY be
  // trailing padded").
  constexpr size_t kAlignment = 64;
  text.resize((8 + text.size() + kAlignment - 1) / kAlignment * kAlignment - 8, ' ');
  if (text.size() > kSafetensorsMaxHeaderBytes) {
    return Status(StatusCode::kInvalidArgument,
                  path + ": header of " + std::to_string(text.size()) + " bytes, the limit is " +
                      std::to_string(kSafetensorsMaxHeaderBytes));
  }
  std::string prefix;
  for (size_t i = 0; i < 8; ++i) prefix.push_back(static_cast<char>(text.size() >> (8 * i) & 0xFF));
  prefix += text;

  SafetensorsWriter writer;
  VLASERVE_ASSIGN_OR_RETURN(writer.file_, files.CreateAtomically(path));
  VLASERVE_RETURN_IF_ERROR(
      writer.file_->Append(std::as_bytes(std::span(prefix.data(), prefix.size()))));
  writer.path_ = path;
  writer.expected_ = offset;
  return writer;
}

Status SafetensorsWriter::Append(std::span<const std::byte> bytes) {
  if (bytes.size() > expected_ - written_) {
    return {StatusCode::kInternal, path_ + ": more bytes than the declared " +
                                       std::to_string(expected_) + " of all tensors"};
  }
  VLASERVE_RETURN_IF_ERROR(file_->Append(bytes));
  written_ += bytes.size();
  return Status::Ok();
}

Status SafetensorsWriter::Finish() {
  if (written_ != expected_) {
    return {StatusCode::kInternal, path_ + ": " + std::to_string(written_) +
                                       " bytes written of the declared " +
                                       std::to_string(expected_)};
  }
  return file_->Commit();
}

}  // namespace vlaserve
