#include "model/archive/pickle_check.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>

#include "model/archive/pickle_globals.h"
#include "model/archive/pickle_reader.h"

namespace vlaserve {
namespace {

using Kind = PickleKind;
using Value = PickleValue;

constexpr size_t kMaxPickleBytes = size_t{16} << 20;
constexpr size_t kMaxValues = size_t{2} << 20;
constexpr size_t kMaxTypeTag = 1024;

class Checker : private PickleReader {
 public:
  using PickleReader::PickleReader;

  Result<PickleSummary> Run(size_t pickle_bytes);

 private:
  enum Opcode : unsigned char {
    kMark = '(',
    kStop = '.',
    kBinFloat = 'G',
    kBinInt = 'J',
    kBinInt1 = 'K',
    kBinInt2 = 'M',
    kNoneOp = 'N',
    kBinPersId = 'Q',
    kReduce = 'R',
    kBinUnicode = 'X',
    kAppend = 'a',
    kBuild = 'b',
    kGlobalOp = 'c',
    kAppends = 'e',
    kBinGet = 'h',
    kLongBinGet = 'j',
    kBinPut = 'q',
    kLongBinPut = 'r',
    kTupleOp = 't',
    kSetItem = 's',
    kSetItems = 'u',
    kEmptyDict = '}',
    kEmptyList = ']',
    kEmptyTuple = ')',
    kNewObj = 0x81,
    kTuple1 = 0x85,
    kTuple2 = 0x86,
    kTuple3 = 0x87,
    kNewTrue = 0x88,
    kNewFalse = 0x89,
    kLong1 = 0x8a
  };

  Status PushGlobal();
  Status PushStorage();
  Status PushTensor(const Value& arguments);
  Result<std::vector<int64_t>> Integers(uint32_t tuple, const char* what) const;
  Status CallFunction(const Value& function, uint32_t argument);
  Status Call(bool build);
  Status MakeObject();
  Status StepNumber(unsigned char opcode);
  Status StepContainer(unsigned char opcode);
  Status Step(unsigned char opcode);

  PickleSummary summary_;
};

Status Checker::PushGlobal() {
  VLASERVE_ASSIGN_OR_RETURN(const std::string_view module, TakeLine());
  VLASERVE_ASSIGN_OR_RETURN(const std::string_view name, TakeLine());
  Value value;
  switch (ClassifyPickleGlobal(module, name)) {
    case PickleGlobal::kStorageType:
      value.kind = Kind::kStorageType;
      value.text = name.substr(0, name.size() - std::string_view("Storage").size());
      break;
    case PickleGlobal::kFunction:
    case PickleGlobal::kClass:
      value.kind = Kind::kGlobal;
      break;
    case PickleGlobal::kCustomClass:
      return Fail("it constructs the custom class " + std::string(module) + "." +
                  std::string(name) + ", which runs code while loading; refused");
    case PickleGlobal::kRefused:
      return Fail("it refers to " + std::string(module.substr(0, 200)) + "." +
                  std::string(name.substr(0, 200)) +
                  ", which is not part of a TorchScript module; refused");
  }
  value.module = module;
  value.name = name;
  Push(std::move(value));
  return Status::Ok();
}

// ('storage', torch.FloatStorage, '0', 'cpu', 12)
Status Checker::PushStorage() {
  VLASERVE_RETURN_IF_ERROR(Need(1));
  const uint32_t id = Pop();
  const std::vector<uint32_t>& items = Get(id).items;
  if (Get(id).kind != Kind::kTuple || items.size() != 5 || Get(items[0]).kind != Kind::kString ||
      Get(items[0]).text != "storage" || Get(items[1]).kind != Kind::kStorageType ||
      Get(items[2]).kind != Kind::kString || Get(items[3]).kind != Kind::kString ||
      Get(items[4]).kind != Kind::kInt) {
    return Fail("a persistent id is not a tensor storage");
  }
  PickledStorage storage;
  storage.dtype = Get(items[1]).text;
  storage.element_bytes = PickleElementBytes(storage.dtype);
  storage.elements = Get(items[4]).integer;
  const std::string key(Get(items[2]).text);
  int64_t bytes = 0;
  if (storage.elements < 0 ||
      __builtin_mul_overflow(storage.elements, storage.element_bytes, &bytes)) {
    return Fail("storage " + key + " has " + std::to_string(storage.elements) + " elements");
  }
  const auto [known, inserted] = summary_.storages.emplace(key, storage);
  if (!inserted &&
      (known->second.dtype != storage.dtype || known->second.elements != storage.elements)) {
    return Fail("storage " + key + " has two types or sizes");
  }
  Value value{.kind = Kind::kStorage};
  value.text = Get(items[2]).text;
  Push(std::move(value));
  return Status::Ok();
}

Result<std::vector<int64_t>> Checker::Integers(uint32_t tuple, const char* what) const {
  std::vector<int64_t> integers;
  const Value& value = Get(tuple);
  bool valid = value.kind == Kind::kTuple && value.items.size() <= 64;
  for (size_t i = 0; valid && i < value.items.size(); ++i) {
    const Value& item = Get(value.items[i]);
    valid = item.kind == Kind::kInt && item.integer >= 0;
    integers.push_back(item.integer);
  }
  if (valid) return integers;
  return Fail(std::string("a tensor's ") + what + " is not a tuple of non-negative integers");
}

// (storage, offset, sizes, strides, requires_grad, OrderedDict()[, {'conj': True}])
Status Checker::PushTensor(const Value& arguments) {
  const std::vector<uint32_t>& items = arguments.items;
  if (items.size() < 6 || items.size() > 7 || Get(items[0]).kind != Kind::kStorage ||
      Get(items[1]).kind != Kind::kInt || Get(items[4]).kind != Kind::kBool ||
      Get(items[5]).kind != Kind::kNone ||
      (items.size() == 7 && Get(items[6]).kind != Kind::kDict)) {
    return Fail("a tensor is not built from storage, offset, sizes and strides");
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, Integers(items[2], "shape"));
  VLASERVE_ASSIGN_OR_RETURN(const std::vector<int64_t> strides, Integers(items[3], "strides"));
  const std::string key(Get(items[0]).text);
  const int64_t elements = summary_.storages.at(key).elements;
  // The last element's index must lie in the storage; the number of elements must be countable
  // even where strides of zero repeat them.
  int64_t last = Get(items[1]).integer;
  int64_t count = 1;
  bool fits = sizes.size() == strides.size() && last >= 0;
  const bool empty = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
  for (size_t i = 0; fits && i < sizes.size(); ++i) {
    int64_t extent = 0;
    fits = !__builtin_mul_overflow(count, std::max<int64_t>(sizes[i], 1), &count) &&
           !__builtin_mul_overflow(std::max<int64_t>(sizes[i], 1) - 1, strides[i], &extent) &&
           !__builtin_add_overflow(last, extent, &last);
  }
  fits = fits && (empty ? Get(items[1]).integer <= elements : last < elements);
  if (!fits) {
    return Fail("a tensor reaches outside of its storage " + key + " of " +
                std::to_string(elements) + " elements");
  }
  Push(Kind::kTensor);
  return Status::Ok();
}

// What the unpickler does for each function of pickle_globals.h.
Status Checker::CallFunction(const Value& function, uint32_t argument) {
  const Value& value = Get(argument);
  const auto is = [&](std::initializer_list<Kind> kinds) {
    return value.kind == Kind::kTuple && value.items.size() == kinds.size() &&
           std::equal(kinds.begin(), kinds.end(), value.items.begin(),
                      [&](Kind kind, uint32_t item) { return Get(item).kind == kind; });
  };
  if (function.name == "_rebuild_tensor_v2" && value.kind == Kind::kTuple) {
    return PushTensor(value);
  }
  if (function.name == "OrderedDict" && is({})) {
    Push(Kind::kNone);
    return Status::Ok();
  }
  if (function.name == "restore_type_tag" &&
      (is({Kind::kList, Kind::kString}) || is({Kind::kDict, Kind::kString}))) {
    const std::string_view tag = Get(value.items[1]).text;
    if (tag.size() > kMaxTypeTag || !IsPlainTypeTag(tag)) {
      return Fail("a container's type is not a plain type name");
    }
    PushFinished(value.items[0]);
    return Status::Ok();
  }
  if (function.name.starts_with("build_") && is({Kind::kList})) {
    PushFinished(value.items[0]);
    return Status::Ok();
  }
  if ((function.name == "device" && is({Kind::kString})) ||
      (function.name == "complex" && is({Kind::kFloat, Kind::kFloat}))) {
    Push(Kind::kOther);
    return Status::Ok();
  }
  return Fail("unexpected arguments for " + std::string(function.module) + "." +
              std::string(function.name));
}

// REDUCE and BUILD: a global below its argument.
Status Checker::Call(bool build) {
  VLASERVE_RETURN_IF_ERROR(Need(2));
  const uint32_t argument = Pop();
  const Value callee = Get(Pop());
  if (callee.kind != Kind::kGlobal) return Fail("something that is not a global is called");
  if (ClassifyPickleGlobal(callee.module, callee.name) != PickleGlobal::kClass) {
    if (build) return Fail("a function is built like an object");
    return CallFunction(callee, argument);
  }
  if (build && Get(argument).kind != Kind::kDict) {
    return Fail("class " + std::string(callee.name) +
                " is built from a state that only __setstate__ could understand; refused");
  }
  Value object{.kind = Kind::kObject};
  VLASERVE_RETURN_IF_ERROR(Contain(object, std::span(&argument, 1)));
  Push(std::move(object));
  return Status::Ok();
}

// NEWOBJ: a class below an empty tuple; the class stays for BUILD.
Status Checker::MakeObject() {
  VLASERVE_RETURN_IF_ERROR(Need(2));
  const Value& arguments = Get(Pop());
  const Value& callee = Get(Top());
  if (arguments.kind != Kind::kTuple || !arguments.items.empty() || callee.kind != Kind::kGlobal ||
      ClassifyPickleGlobal(callee.module, callee.name) != PickleGlobal::kClass) {
    return Fail("an object is made of something that is not a TorchScript class");
  }
  return Status::Ok();
}

// Numbers; the opcode is one of theirs.
Status Checker::StepNumber(unsigned char opcode) {
  if (opcode == kBinFloat) {
    VLASERVE_ASSIGN_OR_RETURN([[maybe_unused]] const std::string_view bits, Take(8));
    Push(Kind::kFloat);
    return Status::Ok();
  }
  size_t size = opcode == kBinInt1 ? 1 : opcode == kBinInt2 ? 2 : 4;
  if (opcode == kLong1) {
    VLASERVE_ASSIGN_OR_RETURN(size, TakeLittleEndian(1));
    if (size != 8) return Fail("a long integer has " + std::to_string(size) + " bytes, not 8");
  }
  VLASERVE_ASSIGN_OR_RETURN(const uint64_t bits, TakeLittleEndian(size));
  PushInt(opcode == kBinInt ? static_cast<int32_t>(static_cast<uint32_t>(bits))
                            : static_cast<int64_t>(bits));
  return Status::Ok();
}

// Tuples, and items of lists and dicts; the opcode is one of theirs.
Status Checker::StepContainer(unsigned char opcode) {
  std::vector<uint32_t> items;
  if (opcode == kTupleOp || opcode == kAppends || opcode == kSetItems) {
    VLASERVE_ASSIGN_OR_RETURN(items, PopToMark());
  } else {
    const size_t size = opcode == kAppend    ? 1
                        : opcode == kSetItem ? 2
                                             : size_t{opcode} - kTuple1 + 1;
    VLASERVE_RETURN_IF_ERROR(Need(size));
    items.resize(size);
    for (size_t i = size; i > 0; --i) items[i - 1] = Pop();
  }
  if (opcode == kAppend || opcode == kAppends) return AddTo(Kind::kList, items);
  if (opcode == kSetItem || opcode == kSetItems) return AddTo(Kind::kDict, items);
  return PushTuple(std::move(items));
}

Status Checker::Step(unsigned char opcode) {
  switch (opcode) {
    case kMark:
      Mark();
      return Status::Ok();
    case kNoneOp:
      Push(Kind::kNone);
      return Status::Ok();
    case kNewTrue:
    case kNewFalse:
      Push(Kind::kBool);
      return Status::Ok();
    case kEmptyList:
      Push(Kind::kList);
      return Status::Ok();
    case kEmptyDict:
      Push(Kind::kDict);
      return Status::Ok();
    case kEmptyTuple:
      return PushTuple({});
    case kBinInt1:
    case kBinInt2:
    case kBinInt:
    case kLong1:
    case kBinFloat:
      return StepNumber(opcode);
    case kBinUnicode: {
      VLASERVE_ASSIGN_OR_RETURN(const uint64_t size, TakeLittleEndian(4));
      Value value{.kind = Kind::kString};
      VLASERVE_ASSIGN_OR_RETURN(value.text, Take(size));
      Push(std::move(value));
      return Status::Ok();
    }
    case kTupleOp:
    case kTuple1:
    case kTuple2:
    case kTuple3:
    case kAppend:
    case kAppends:
    case kSetItem:
    case kSetItems:
      return StepContainer(opcode);
    case kBinPut:
    case kLongBinPut: {
      VLASERVE_ASSIGN_OR_RETURN(const uint64_t id, TakeLittleEndian(opcode == kBinPut ? 1 : 4));
      return Memoize(id);
    }
    case kBinGet:
    case kLongBinGet: {
      VLASERVE_ASSIGN_OR_RETURN(const uint64_t id, TakeLittleEndian(opcode == kBinGet ? 1 : 4));
      return Recall(id);
    }
    case kGlobalOp:
      return PushGlobal();
    case kBinPersId:
      return PushStorage();
    case kNewObj:
      return MakeObject();
    case kReduce:
      return Call(/*build=*/false);
    case kBuild:
      return Call(/*build=*/true);
    default: {
      constexpr std::string_view kDigits = "0123456789abcdef";
      return Fail(std::string("opcode 0x") + kDigits[opcode >> 4] + kDigits[opcode & 15] +
                  " is not one that TorchScript writes");
    }
  }
}

Result<PickleSummary> Checker::Run(size_t pickle_bytes) {
  if (pickle_bytes > kMaxPickleBytes) {
    return Fail("the pickle has " + std::to_string(pickle_bytes) + " bytes; at most " +
                std::to_string(kMaxPickleBytes) + " are accepted");
  }
  VLASERVE_ASSIGN_OR_RETURN(const std::string_view start, Take(2));
  if (start != std::string_view("\x80\x02")) return Fail("not a pickle of protocol 2");
  while (true) {
    VLASERVE_ASSIGN_OR_RETURN(const unsigned char opcode, BeginOpcode());
    if (opcode == kStop) break;
    VLASERVE_RETURN_IF_ERROR(Step(opcode));
    if (values() > kMaxValues) return Fail("the pickle holds too many values");
  }
  if (!AtEnd()) return Fail("bytes follow the end of the pickle");
  if (!Complete()) return Fail("the pickle does not leave exactly one value");
  const Kind kind = Get(Top()).kind;
  if (kind != Kind::kObject && kind != Kind::kTuple) {
    return Fail("the pickle's value is neither a module nor a tuple");
  }
  summary_.is_object = kind == Kind::kObject;
  return std::move(summary_);
}

}  // namespace

Result<PickleSummary> CheckPickle(std::string_view pickle, std::string_view origin) {
  return Checker(pickle, origin).Run(pickle.size());
}

}  // namespace vlaserve
