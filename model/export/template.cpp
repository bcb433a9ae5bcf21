#include "model/export/template.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <utility>
#include <vector>

namespace vlaserve {
namespace {

bool IsWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

std::string Substitute(std::string_view line, const TemplateValues& values) {
  std::string out;
  for (size_t at = 0; at < line.size();) {
    size_t end = at;
    while (end < line.size() && IsWordCharacter(line[end])) ++end;
    if (end == at) {
      out += line[at++];
      continue;
    }
    const std::string_view word = line.substr(at, end - at);
    const auto value = values.find(word);
    out += value == values.end() ? std::string(word) : std::to_string(value->second);
    at = end;
  }
  return out;
}

}  // namespace

Result<std::string> ExpandTemplate(std::string_view text, const TemplateValues& values,
                                   std::string_view origin) {
  std::string out;
  std::istringstream lines{std::string(text)};
  int number = 0;
  const auto error = [&](std::string_view what) {
    return Status(StatusCode::kInternal,
                  std::string(origin) + ":" + std::to_string(number) + ": " + std::string(what));
  };

  bool in_loop = false;
  std::string loop_name;
  int64_t loop_count = 0;
  std::vector<std::string> loop_body;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const size_t start = line.find_first_not_of(' ');
    if (start == std::string::npos) continue;
    std::istringstream words(line.substr(start));
    std::string first;
    words >> first;
    if (first == "#for") {
      std::string in;
      std::string count;
      if (in_loop || !(words >> loop_name >> in >> count) || in != "in") {
        return error("expected '#for NAME in COUNT' outside of another loop");
      }
      const auto found = values.find(count);
      if (found == values.end()) return error("unknown count " + count);
      loop_count = found->second;
      in_loop = true;
    } else if (first == "#end") {
      if (!in_loop) return error("#end without #for");
      TemplateValues inner = values;
      for (int64_t i = 0; i < loop_count; ++i) {
        inner[loop_name] = i;
        for (const std::string& body : loop_body) out += Substitute(body, inner) + "\n";
      }
      loop_body.clear();
      in_loop = false;
    } else if (line[start] == '#') {
      continue;
    } else if (in_loop) {
      loop_body.push_back(std::move(line));
    } else {
      out += Substitute(line, values) + "\n";
    }
  }
  if (in_loop) return error("#for without #end");
  return out;
}

}  // namespace vlaserve
