#include "quant/golden/json_comparison.h"

#include <algorithm>
#include <utility>

#include "model/io/json.h"

namespace vlaserve {
namespace {

using Json = nlohmann::json;

std::string Text(const Json& value) {
  constexpr size_t kLongest = 300;
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "…";
}

std::string Difference(const Json& found, const Json& expected) {
  if (!found.is_array() || !expected.is_array())
    return Text(found) + ", expected " + Text(expected);
  const size_t common = std::min(found.size(), expected.size());
  size_t i = 0;
  while (i < common && found[i] == expected[i]) ++i;
  const auto entry = [&](const Json& list) { return i < list.size() ? Text(list[i]) : "no entry"; };
  std::string text = "[";
  text += std::to_string(i) + "]: " + entry(found) + ", expected " + entry(expected);
  return text;
}

}  // namespace

JsonComparison::JsonComparison(GoldenSummary& summary, std::string case_id)
    : summary_(summary), case_id_(std::move(case_id)) {
  ++summary_.cases;
}

bool JsonComparison::Equal(const std::string& value, const Json& found, const Json& expected) {
  ++summary_.comparisons;
  if (found == expected) return true;
  Fail(value, Difference(found, expected));
  return false;
}

void JsonComparison::FailsWith(const std::string& message, const Status& found) {
  ++summary_.comparisons;
  if (!found.ok() && found.message().find(message) != std::string::npos) return;
  Fail("error", Text(found.message()) + ", expected " + Text(message));
}

bool JsonComparison::Succeeds(const Status& found) {
  ++summary_.comparisons;
  if (!found.ok()) Fail("error", Text(found.message()) + ", expected none");
  return found.ok();
}

void JsonComparison::Fail(const std::string& value, const std::string& difference) {
  summary_.failures.push_back({case_id_, value, difference});
}

Status CompareJsonFile(FileSystem& files, const std::string& folder, const std::string& name,
                       const std::function<void(const Json& golden)>& compare) {
  const std::string path = JoinPath(folder, name);
  if (!files.IsFile(path)) return Status::Ok();
  VLASERVE_ASSIGN_OR_RETURN(const Json golden, ReadJsonFile(files, path));
  try {
    compare(golden);
  } catch (const Json::exception& error) {
    return {StatusCode::kUnreadable, path + ": " + error.what()};
  }
  return Status::Ok();
}

}  // namespace vlaserve
