#include "model/io/json.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace vlaserve {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxDetail = 200;  // characters of the parser's own message that are repeated

// "line 3, column 7" of the byte at `offset`, both from 1; columns count bytes.
std::string Place(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n');
  const size_t column =
      before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// Printable ASCII of bounded length: the parser's messages quote input that may be neither.
std::string Printable(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string printable;
  for (const char c : text.substr(0, kMaxDetail)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      printable.push_back(c);
    } else {
      printable += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 0xF]};
    }
  }
  if (text.size() > kMaxDetail) printable += " ...";
  return printable;
}

// Builds the value and refuses what nlohmann's own builder lets pass. One Level per open object or
// array; the parser only calls in grammatical order.
class StrictBuilder : public nlohmann::json_sax<json> {
 public:
  StrictBuilder(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {}

  json TakeValue() { return std::move(root_); }
  const Status& status() const { return status_; }

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override { return Add(value); }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // not part of JSON text

  bool start_object(size_t) override { return Open(json::object()); }
  bool start_array(size_t) override { return Open(json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.key = std::move(name);
    if (!level.container->contains(level.key)) return true;
    status_ = {StatusCode::kUnreadable,
               std::string(origin_) + ": duplicate key " + Pointer() + ", expected each key once"};
    return false;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& exception) override {
    // Messages look like "[id] parse error at line 1, column 2: what is wrong"; the number in
    // `position` counts the bytes read, the offending one included.
    std::string_view what = exception.what();
    const size_t prefix_end = what.find(": ");
    if (prefix_end != std::string_view::npos) what.remove_prefix(prefix_end + 2);
    status_ = {StatusCode::kUnreadable, std::string(origin_) + ": not valid JSON at " +
                                            Place(text_, position == 0 ? 0 : position - 1) + ": " +
                                            Printable(what)};
    return false;
  }

 private:
  struct Level {
    json* container;
    std::string key;  // of the member being read, in an object
  };

  json* Put(json value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Level& level = levels_.back();
    if (level.container->is_object()) {
      return &(*level.container)[level.key].operator=(std::move(value));
    }
    level.container->push_back(std::move(value));
    return &level.container->back();
  }

  bool Add(json value) {
    Put(std::move(value));
    return true;
  }

  bool Open(json container) {
    if (levels_.size() == kMaxDepth) {
      status_ = {StatusCode::kUnreadable, std::string(origin_) + ": " + Pointer() +
                                              ": nested deeper than " + std::to_string(kMaxDepth) +
                                              " levels"};
      return false;
    }
    // The pointer stays valid: its parent container grows again only after this level is closed.
    json* const place = Put(std::move(container));
    levels_.push_back({place, {}});
    return true;
  }

  bool Close() {
    levels_.pop_back();
    return true;
  }

  // RFC 6901 pointer of the member being read.
  std::string Pointer() const {
    json::json_pointer pointer;
    for (const Level& level : levels_) {
      if (level.container->is_object()) {
        pointer /= level.key;
      } else {
        pointer /= level.container->size() - (&level == &levels_.back() ? 0 : 1);
      }
    }
    return pointer.to_string();
  }

  std::string_view text_;
  std::string_view origin_;
  json root_;
  std::vector<Level> levels_;
  Status status_;
};

}  // namespace

Result<json> ParseJson(std::string_view text, std::string_view origin) {
  // nlohmann takes a NUL byte for the end of the text.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return Status(StatusCode::kUnreadable,
                  std::string(origin) + ": not valid JSON at " + Place(text, nul) + ": NUL byte");
  }
  StrictBuilder builder(text, origin);
  if (!json::sax_parse(text.begin(), text.end(), &builder)) return builder.status();
  return builder.TakeValue();
}

Result<json> ReadJsonFile(FileSystem& files, const std::string& path, size_t max_bytes) {
  VLASERVE_ASSIGN_OR_RETURN(const std::string text, files.Read(path, max_bytes));
  return ParseJson(text, path);
}

}  // namespace vlaserve
