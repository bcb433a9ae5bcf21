#include "model/archive/load_module.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <torch/csrc/jit/operator_upgraders/upgraders_entry.h>
#include <torch/csrc/jit/serialization/import_source.h>
#include <torch/csrc/jit/serialization/storage_context.h>
#include <torch/csrc/jit/serialization/unpickler.h>

#include "model/archive/code_check.h"
#include "model/archive/pickle_check.h"
#include "model/archive/torch_errors.h"

namespace vlaserve {
namespace {

using c10::IValue;
using torch::jit::CompilationUnit;

constexpr uint64_t kMaxPickleBytes = uint64_t{16} << 20;

// A pickle and the folder of its tensors' records.
struct Pickle {
  std::string name;
  std::string content;
};

Result<Pickle> ReadPickle(const ArchiveRecords& records, const std::string& name,
                          bool expect_object) {
  VLASERVE_ASSIGN_OR_RETURN(std::string content, records.Read(name + ".pkl", kMaxPickleBytes));
  const std::string origin = records.path() + ": record " + name + ".pkl";
  VLASERVE_ASSIGN_OR_RETURN(const PickleSummary summary, CheckPickle(content, origin));
  if (summary.is_object != expect_object) {
    return Status(StatusCode::kUnreadable,
                  origin + ": holds no " + (expect_object ? "module" : "tuple of constants"));
  }
  for (const auto& [key, storage] : summary.storages) {
    const ZipRecord* record = records.Find(name + "/" + key);
    const auto bytes = static_cast<uint64_t>(storage.elements * storage.element_bytes);
    if (record == nullptr) {
      if (bytes == 0) continue;
      return Status(StatusCode::kUnreadable,
                    origin + ": there is no record " + name + "/" + key + " for its tensors");
    }
    if (record->deflated || record->bytes != bytes) {
      return Status(StatusCode::kUnreadable, records.path() + ": record " + record->name + " has " +
                                                 std::to_string(record->bytes) + " bytes; " + name +
                                                 ".pkl expects " + std::to_string(bytes));
    }
    if (record->offset % static_cast<uint64_t>(std::min<int64_t>(storage.element_bytes, 8)) != 0) {
      return Status(StatusCode::kUnreadable, records.path() + ": record " + record->name +
                                                 " at byte " + std::to_string(record->offset) +
                                                 " is not aligned for elements of " +
                                                 std::to_string(storage.element_bytes) + " bytes");
    }
  }
  return Pickle{name, std::move(content)};
}

// Whether a value read from a pickle has the type that the class declares: LibTorch does not look
// and its interpreter relies on it. Objects were checked when they were made.
bool Fits(const IValue& value, const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType:
      return value.isNone() || Fits(value, type->containedType(0));
    case c10::TypeKind::UnionType: {
      const auto members = type->containedTypes();
      return std::any_of(members.begin(), members.end(),
                         [&](const c10::TypePtr& member) { return Fits(value, member); });
    }
    case c10::TypeKind::ListType: {
      if (!value.isList()) return false;
      const c10::TypePtr element = type->containedType(0);
      const auto items = value.toListRef();
      return std::all_of(items.begin(), items.end(),
                         [&](const IValue& item) { return Fits(item, element); });
    }
    case c10::TypeKind::DictType: {
      if (!value.isGenericDict()) return false;
      for (const auto& item : value.toGenericDict()) {
        if (!Fits(item.key(), type->containedType(0)) ||
            !Fits(item.value(), type->containedType(1))) {
          return false;
        }
      }
      return true;
    }
    case c10::TypeKind::TupleType: {
      if (!value.isTuple()) return false;
      const auto& items = value.toTupleRef().elements();
      if (items.size() != type->containedTypeSize()) return false;
      for (size_t i = 0; i < items.size(); ++i) {
        if (!Fits(items[i], type->containedType(i))) return false;
      }
      return true;
    }
    case c10::TypeKind::ClassType:
    case c10::TypeKind::InterfaceType:
      return value.isObject() && value.type()->isSubtypeOf(*type);
    case c10::TypeKind::EnumType:
      return value.isEnum() && *value.type() == *type;
    case c10::TypeKind::TensorType:
      return value.isTensor();
    case c10::TypeKind::IntType:
      return value.isInt();
    case c10::TypeKind::FloatType:
      return value.isDouble();
    case c10::TypeKind::ComplexType:
      return value.isComplexDouble();
    case c10::TypeKind::BoolType:
      return value.isBool();
    case c10::TypeKind::StringType:
      return value.isString();
    case c10::TypeKind::NoneType:
      return value.isNone();
    case c10::TypeKind::NumberType:
      return value.isScalar();
    case c10::TypeKind::DeviceObjType:
      return value.isDevice();
    default:
      return false;
  }
}

// Carries a refusal of ours through LibTorch's unpickler, which calls MakeObject and can only be
// left by an exception; caught in LoadModule.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

c10::intrusive_ptr<c10::ivalue::Object> MakeObject(const at::StrongTypePtr& type,
                                                   const IValue& state) {
  const auto cls = type.type_->expect<c10::ClassType>();
  const std::string name = cls->name()->qualifiedName();
  if (cls->findMethod("__setstate__") != nullptr || !state.isGenericDict()) {
    throw Refusal("class " + name + " would run code while loading; refused");
  }
  const auto attributes = state.toGenericDict();
  const size_t count = cls->numAttributes();
  auto object = c10::ivalue::Object::create(type, count);
  for (size_t i = 0; i < count; ++i) {
    const std::string& attribute = cls->getAttributeName(i);
    const auto found = attributes.find(attribute);
    if (found == attributes.end()) {
      throw Refusal("attribute " + attribute + " of " + name + " is missing");
    }
    const c10::TypePtr& expected = cls->getAttribute(i);
    if (!Fits(found->value(), expected)) {
      throw Refusal("attribute " + attribute + " of " + name + " is no " +
                    expected->annotation_str());
    }
    object->setSlot(i, found->value());
  }
  return object;
}

class Loader {
 public:
  Loader(const ArchiveRecords& records, std::map<std::string, std::string> code)
      : records_(records),
        code_(std::move(code)),
        unit_(std::make_shared<CompilationUnit>()),
        importer_(
            unit_, &constants_,
            [this](const std::string& import_path) -> std::shared_ptr<torch::jit::Source> {
              const auto found = code_.find(import_path);
              if (found == code_.end()) return nullptr;
              return std::make_shared<torch::jit::Source>(found->second, import_path);
            },
            static_cast<size_t>(records.format_version())) {}

  torch::jit::Module Load(const Pickle& constants, const Pickle& data) {
    torch::jit::populate_upgraders_graph_map();
    const IValue table = Unpickle(constants);
    for (const IValue& constant : table.toTupleRef().elements()) constants_.push_back(constant);
    return torch::jit::Module(Unpickle(data).toObject());
  }

 private:
  IValue Unpickle(const Pickle& pickle) {
    size_t at = 0;
    const auto read = [&](char* out, size_t size) {
      const size_t taken = std::min(size, pickle.content.size() - at);
      std::memcpy(out, pickle.content.data() + at, taken);
      at += taken;
      return taken;
    };
    const auto resolve = [this](const c10::QualifiedName& name) {
      return c10::StrongTypePtr(unit_, importer_.loadType(name));
    };
    torch::jit::Unpickler unpickler(
        read, resolve, MakeObject,
        [&](const std::string& key) { return Alias(pickle.name + "/" + key); }, c10::kCPU,
        /*use_storage_device=*/false, torch::jit::Unpickler::defaultTypeParser,
        std::make_shared<torch::jit::DeserializationStorageContext>());
    unpickler.set_version(static_cast<uint64_t>(records_.format_version()));
    return unpickler.parse_ivalue();
  }

  // A pointer into the mapping that keeps it alive.
  at::DataPtr Alias(const std::string& name) const {
    using Owner = std::shared_ptr<const MappedFile>;
    const ZipRecord* record = records_.Find(name);
    if (record == nullptr) throw Refusal("there is no record " + name);
    const std::byte* bytes = records_.zip().StoredBytes(*record).data();
    return {const_cast<std::byte*>(bytes), new Owner(records_.zip().file()),
            [](void* owner) { delete static_cast<Owner*>(owner); }, c10::kCPU};
  }

  const ArchiveRecords& records_;
  std::map<std::string, std::string> code_;
  std::vector<IValue> constants_;
  std::shared_ptr<CompilationUnit> unit_;
  torch::jit::SourceImporter importer_;
};

}  // namespace

Result<torch::jit::Module> LoadModule(const ArchiveRecords& records) {
  VLASERVE_ASSIGN_OR_RETURN(auto sources, records.ReadCode());
  std::map<std::string, std::string> code;
  for (auto& [import_path, source] : sources) {
    VLASERVE_RETURN_IF_ERROR(CheckCode(records.path(), import_path, source));
    code.emplace(import_path, std::move(source));
  }
  VLASERVE_ASSIGN_OR_RETURN(const Pickle constants, ReadPickle(records, "constants", false));
  VLASERVE_ASSIGN_OR_RETURN(const Pickle data, ReadPickle(records, "data", true));
  try {
    return Loader(records, std::move(code)).Load(constants, data);
  } catch (const Refusal& refusal) {
    return Status(StatusCode::kUnreadable, records.path() + ": record data.pkl: " + refusal.what());
  } catch (const std::exception& error) {
    return TorchFailure(StatusCode::kUnreadable, records.path() + ": LibTorch refuses it", error);
  }
}

}  // namespace vlaserve
