#include "server/cli/resident_memory.h"

#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

namespace vlaserve {
namespace {

// The number of a line "Name:   1234 kB", in bytes.
int64_t BytesOfLine(std::string_view status, std::string_view name) {
  const size_t at = status.find(std::string("\n").append(name).append(":"));
  if (at == std::string_view::npos) return 0;
  std::string_view rest = status.substr(at + name.size() + 2);
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  int64_t kibibytes = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), kibibytes);
  return kibibytes * 1024;
}

}  // namespace

ResidentMemory ParseResidentMemory(std::string_view status) {
  return {BytesOfLine(status, "RssAnon"), BytesOfLine(status, "RssFile")};
}

ResidentMemory ReadResidentMemory() {
  std::ostringstream text;
  text << std::ifstream("/proc/self/status").rdbuf();
  return ParseResidentMemory(text.str());
}

}  // namespace vlaserve
