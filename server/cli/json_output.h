// JSON for standard output and report files.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace vlaserve {

// Indented text of any nlohmann value. What is not UTF-8 in it (paths need not be) is replaced
// instead of ending the program.
template <typename JsonValue>
std::string JsonText(const JsonValue& value) {
  return value.dump(2, ' ', false, JsonValue::error_handler_t::replace);
}

}  // namespace vlaserve
