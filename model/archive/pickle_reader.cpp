#include "model/archive/pickle_reader.h"

#include <algorithm>
#include <utility>

namespace vlaserve {
namespace {

constexpr int kMaxDepth = 200;
// Bounds what a recursive walk of the values can cost.
constexpr uint64_t kMaxWeight = uint64_t{1} << 24;

}  // namespace

Status PickleReader::Fail(const std::string& what) const {
  return {StatusCode::kUnreadable, origin_ + ": byte " + std::to_string(opcode_at_) + ": " + what};
}

Result<unsigned char> PickleReader::BeginOpcode() {
  opcode_at_ = at_;
  VLASERVE_ASSIGN_OR_RETURN(const std::string_view opcode, Take(1));
  return static_cast<unsigned char>(opcode[0]);
}

Result<std::string_view> PickleReader::Take(size_t size) {
  if (pickle_.size() - at_ < size) return Fail("the pickle ends in the middle of an opcode");
  const std::string_view taken = pickle_.substr(at_, size);
  at_ += size;
  return taken;
}

Result<uint64_t> PickleReader::TakeLittleEndian(size_t size) {
  VLASERVE_ASSIGN_OR_RETURN(const std::string_view bytes, Take(size));
  uint64_t value = 0;
  for (size_t i = size; i > 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  return value;
}

Result<std::string_view> PickleReader::TakeLine() {
  const size_t end = pickle_.find('\n', at_);
  if (end == std::string_view::npos) return Fail("the pickle ends in the middle of a name");
  const std::string_view line = pickle_.substr(at_, end - at_);
  at_ = end + 1;
  return line;
}

void PickleReader::Push(PickleValue value) {
  values_.push_back(std::move(value));
  stack_.push_back(static_cast<uint32_t>(values_.size() - 1));
}

void PickleReader::PushInt(int64_t integer) {
  PickleValue value{.kind = PickleKind::kInt};
  value.integer = integer;
  Push(std::move(value));
}

Status PickleReader::PushTuple(std::vector<uint32_t> items) {
  PickleValue tuple{.kind = PickleKind::kTuple};
  VLASERVE_RETURN_IF_ERROR(Contain(tuple, items));
  tuple.items = std::move(items);
  Push(std::move(tuple));
  return Status::Ok();
}

void PickleReader::PushFinished(uint32_t container) {
  values_[container].finished = true;
  stack_.push_back(container);
}

Status PickleReader::Need(size_t count) const {
  if (Available() >= count) return Status::Ok();
  return Fail("an opcode needs " + std::to_string(count) + " values but the stack has " +
              std::to_string(Available()));
}

uint32_t PickleReader::Pop() {
  const uint32_t value = stack_.back();
  stack_.pop_back();
  return value;
}

Result<std::vector<uint32_t>> PickleReader::PopToMark() {
  if (marks_.empty()) return Fail("an opcode needs a mark but there is none");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<uint32_t> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

Status PickleReader::AddTo(PickleKind container, const std::vector<uint32_t>& items) {
  VLASERVE_RETURN_IF_ERROR(Need(1));
  PickleValue& parent = values_[stack_.back()];
  const bool list = container == PickleKind::kList;
  if (parent.kind != container) {
    return Fail(list ? "items are appended to what is not a list"
                     : "items are set in what is not a dict");
  }
  if (parent.finished) return Fail("a container is changed after it was finished");
  if (!list && items.size() % 2 != 0) return Fail("a dict key has no value");
  return Contain(parent, items);
}

Status PickleReader::Contain(PickleValue& parent, std::span<const uint32_t> children) const {
  for (const uint32_t child : children) {
    if (Get(child).kind == PickleKind::kGlobal && parent.kind != PickleKind::kTuple) {
      return Fail("a function or class is stored as data");
    }
    parent.depth = std::max(parent.depth, Get(child).depth + 1);
    parent.weight += Get(child).weight;
  }
  if (parent.depth > kMaxDepth) {
    return Fail("values are nested deeper than " + std::to_string(kMaxDepth));
  }
  if (parent.weight > kMaxWeight) return Fail("values are shared too many times");
  return Status::Ok();
}

// LibTorch resizes its memo to any id; its pickler counts up.
Status PickleReader::Memoize(uint64_t id) {
  VLASERVE_RETURN_IF_ERROR(Need(1));
  if (id > memo_.size()) {
    return Fail("memo entry " + std::to_string(id) + " is set when " +
                std::to_string(memo_.size()) + " is next");
  }
  if (id == memo_.size()) memo_.push_back(0);
  memo_[id] = stack_.back();
  return Status::Ok();
}

// LibTorch's pickler fills a container before it refers to it again; one filled later could
// contain itself.
Status PickleReader::Recall(uint64_t id) {
  if (id >= memo_.size()) return Fail("memo entry " + std::to_string(id) + " is not set");
  PushFinished(memo_[id]);
  return Status::Ok();
}

}  // namespace vlaserve
