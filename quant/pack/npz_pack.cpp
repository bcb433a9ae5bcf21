#include "quant/pack/npz_pack.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>

#include "model/archive/zip_reader.h"
#include "model/io/hash.h"
#include "model/io/json.h"
#include "model/io/safetensors.h"
#include "quant/pack/npy.h"

namespace vlaserve {
namespace {

using nlohmann::json;

// Far above any linear; keeps every product of two sizes far below 2^63.
constexpr int64_t kMaxFeatures = 1 << 24;

class Reader {
 public:
  Reader(const ZipReader& zip, NpzPack& pack) : zip_(zip), pack_(pack) {}

  Status Read() {
    VLASERVE_RETURN_IF_ERROR(ReadMeta());
    VLASERVE_ASSIGN_OR_RETURN(pack_.weight_scale, Floats("weight_scale", {pack_.out_features}));
    VLASERVE_RETURN_IF_ERROR(ReadPermutation());
    VLASERVE_RETURN_IF_ERROR(
        ReadBlocks("Rin_", "R_in_blocks", pack_.in_features, pack_.block, pack_.rotations));
    VLASERVE_RETURN_IF_ERROR(ReadBlocks("Rout_", "R_out_blocks", pack_.out_features,
                                        pack_.block_out, pack_.output_rotations));
    for (const ZipRecord& record : zip_.records()) {
      if (!used_.contains(record.name)) {
        return Error("holds " + record.name + ", which a pack of these sizes does not have");
      }
    }
    return Status::Ok();
  }

 private:
  Status Error(const std::string& message) const {
    return {StatusCode::kUnreadable, zip_.path() + ": " + message};
  }
  std::string Origin(const std::string& key) const { return zip_.path() + ": " + key + ".npy"; }
  Status EntryError(const std::string& key, const std::string& message) const {
    return {StatusCode::kUnreadable, Origin(key) + ": " + message};
  }

  Result<NpyArray> Array(const std::string& key) {
    const ZipRecord* const record = zip_.Find(key + ".npy");
    if (record == nullptr) return Error("has no " + key + ".npy");
    used_.insert(record->name);
    if (record->deflated) {
      return EntryError(key, "is compressed; packs are written without compression");
    }
    VLASERVE_RETURN_IF_ERROR(zip_.CheckCrc(*record));
    return ParseNpy(zip_.StoredBytes(*record), Origin(key));
  }

  Status CheckShape(const std::string& key, const NpyArray& array,
                    const std::vector<int64_t>& shape) const {
    if (array.shape == shape) return Status::Ok();
    return EntryError(
        key, "has shape " + ShapeToString(array.shape) + ", expected " + ShapeToString(shape));
  }

  Result<std::vector<float>> Floats(const std::string& key, const std::vector<int64_t>& shape) {
    VLASERVE_ASSIGN_OR_RETURN(const NpyArray array, Array(key));
    VLASERVE_RETURN_IF_ERROR(CheckShape(key, array, shape));
    VLASERVE_ASSIGN_OR_RETURN(std::vector<float> values, NpyFloats(array, Origin(key)));
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) {
        return EntryError(key, "element " + std::to_string(i) + " is not a finite number");
      }
    }
    return values;
  }

  Result<std::vector<int64_t>> Ints(const std::string& key, const std::vector<int64_t>& shape) {
    VLASERVE_ASSIGN_OR_RETURN(const NpyArray array, Array(key));
    VLASERVE_RETURN_IF_ERROR(CheckShape(key, array, shape));
    return NpyInts(array, Origin(key));
  }

  Status ReadMeta() {
    VLASERVE_ASSIGN_OR_RETURN(const NpyArray array, Array("meta"));
    VLASERVE_ASSIGN_OR_RETURN(const std::string text, NpyText(array, Origin("meta")));
    VLASERVE_ASSIGN_OR_RETURN(const json meta, ParseJson(text, Origin("meta")));
    if (!meta.is_object()) return EntryError("meta", "is not a JSON object");
    const std::pair<const char*, int64_t*> sizes[] = {{"in_features", &pack_.in_features},
                                                      {"out_features", &pack_.out_features},
                                                      {"block_size", &pack_.block},
                                                      {"block_out_size", &pack_.block_out}};
    for (const auto& [name, value] : sizes) {
      const auto found = meta.find(name);
      if (found == meta.end() || !found->is_number_unsigned() || *found < 1 ||
          *found > kMaxFeatures) {
        return EntryError("meta", std::string(name) + " is not an integer from 1 to " +
                                      std::to_string(kMaxFeatures));
      }
      *value = found->get<int64_t>();
    }
    const auto permute = meta.find("enable_permute");
    if (permute == meta.end() || !permute->is_boolean()) {
      return EntryError("meta", "enable_permute is not true or false");
    }
    pack_.permute = permute->get<bool>();
    return Status::Ok();
  }

  Status ReadPermutation() {
    if (!pack_.permute) return Status::Ok();
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<int64_t> columns,
                              Ints("perm", {pack_.in_features}));
    std::vector<bool> seen(columns.size(), false);
    pack_.permutation.reserve(columns.size());
    for (size_t i = 0; i < columns.size(); ++i) {
      const int64_t column = columns[i];
      if (column < 0 || column >= pack_.in_features || seen[static_cast<size_t>(column)]) {
        return EntryError("perm", "is no permutation: element " + std::to_string(i) + " is " +
                                      std::to_string(column) + ", of " +
                                      std::to_string(pack_.in_features) + " columns");
      }
      seen[static_cast<size_t>(column)] = true;
      pack_.permutation.push_back(static_cast<int32_t>(column));
    }
    return Status::Ok();
  }

  // One square matrix per block of `features`, the last one smaller if `block` does not divide.
  Status ReadBlocks(const std::string& prefix, const std::string& list_key, int64_t features,
                    int64_t block, std::vector<std::vector<float>>& rotations) {
    const int64_t count = (features + block - 1) / block;
    VLASERVE_ASSIGN_OR_RETURN(const std::vector<int64_t> list, Ints(list_key, {count}));
    for (int64_t i = 0; i < count; ++i) {
      if (list[static_cast<size_t>(i)] != i) {
        return EntryError(list_key, "element " + std::to_string(i) + " is " +
                                        std::to_string(list[static_cast<size_t>(i)]) +
                                        ", expected " + std::to_string(i));
      }
      const int64_t size = std::min(block, features - i * block);
      VLASERVE_ASSIGN_OR_RETURN(std::vector<float> rotation,
                                Floats(prefix + std::to_string(i), {size, size}));
      rotations.push_back(std::move(rotation));
    }
    return Status::Ok();
  }

  const ZipReader& zip_;
  NpzPack& pack_;
  std::set<std::string> used_;
};

bool IsPlain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

}  // namespace

std::string NpzFileName(std::string_view layer_name) {
  std::string plain;
  for (const char c : layer_name) {
    // A character is one code point: the bytes that continue it in UTF-8 give nothing more.
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80) continue;
    plain.push_back(IsPlain(c) ? c : '_');
  }
  std::string stem;
  for (size_t i = 0; i < plain.size(); ++i) {
    if (plain.compare(i, 2, "..") == 0) ++i;
    stem.push_back(plain[i]);
  }
  return stem + ".npz";
}

Result<NpzPack> ReadNpzPack(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, files.Map(path));
  NpzPack pack;
  pack.sha256 = Sha256Hex(file->bytes());
  VLASERVE_ASSIGN_OR_RETURN(const ZipReader zip, ZipReader::Open(std::move(file), path));
  VLASERVE_RETURN_IF_ERROR(Reader(zip, pack).Read());
  return pack;
}

}  // namespace vlaserve
