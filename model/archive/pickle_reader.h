// The bytes, values, stack, marks and memo of a pickle while pickle_check.cpp goes through it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/io/status.h"

namespace vlaserve {

enum class PickleKind {
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kDict,
  kTuple,
  kStorageType,
  kGlobal,
  kStorage,
  kTensor,
  kObject,
  kOther
};

// What is remembered of a value: enough to follow the pickle, no items of lists and dicts.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  int depth = 1;                 // of nesting
  uint64_t weight = 1;           // values in it; one shared by several parents counts for each
  int64_t integer = 0;           // of kInt
  bool finished = false;         // a container that must not be changed any more
  std::string_view text = {};    // of kString; record key of kStorage; dtype of kStorageType
  std::string_view module = {};  // of kGlobal
  std::string_view name = {};
  std::vector<uint32_t> items = {};  // of kTuple
};

// Values are named by their index; a reference to one is valid until the next push. All failures
// name the opcode's byte. Not thread-safe; the pickle must outlive the reader.
class PickleReader {
 public:
  PickleReader(std::string_view pickle, std::string_view origin)
      : pickle_(pickle), origin_(origin) {}

  Status Fail(const std::string& what) const;

  // Bytes. BeginOpcode takes one and makes it the place that failures name.
  Result<unsigned char> BeginOpcode();
  Result<std::string_view> Take(size_t size);
  Result<uint64_t> TakeLittleEndian(size_t size);
  Result<std::string_view> TakeLine();
  bool AtEnd() const { return at_ == pickle_.size(); }

  // Stack. What lies below the innermost mark cannot be popped.
  const PickleValue& Get(uint32_t value) const { return values_[value]; }
  void Push(PickleValue value);
  void Push(PickleKind kind) { Push(PickleValue{.kind = kind}); }
  void PushInt(int64_t integer);
  Status PushTuple(std::vector<uint32_t> items);
  // A list or dict that exists already and is complete now.
  void PushFinished(uint32_t container);
  Status Need(size_t count) const;
  // Preconditions: Need(1).
  uint32_t Pop();
  uint32_t Top() const { return stack_.back(); }
  void Mark() { marks_.push_back(stack_.size()); }
  Result<std::vector<uint32_t>> PopToMark();
  // Adds `items` (popped already) to the list or dict on top of the stack.
  Status AddTo(PickleKind container, const std::vector<uint32_t>& items);
  // Bounds nesting and sharing; refuses functions and classes as data.
  Status Contain(PickleValue& parent, std::span<const uint32_t> children) const;
  // Whether the stack holds one value and no marks.
  bool Complete() const { return marks_.empty() && stack_.size() == 1; }

  Status Memoize(uint64_t id);
  Status Recall(uint64_t id);

  size_t values() const { return values_.size(); }

 private:
  size_t Available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  std::string_view pickle_;
  std::string origin_;
  size_t at_ = 0;
  size_t opcode_at_ = 0;
  std::vector<PickleValue> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::vector<uint32_t> memo_;
};

}  // namespace vlaserve
