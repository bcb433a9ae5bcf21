#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "model/io/file_system.h"
#include "tests/support/catch.h"

namespace vlaserve {

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "vlaserve_test_XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) FAIL("cannot create " << pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;  // a destructor has nobody to tell
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::File(std::string_view name) const { return JoinPath(path_, name); }

std::string TempDir::Write(std::string_view name, std::string_view content) const {
  std::string path = File(name);
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file) FAIL("cannot write " << path);
  return path;
}

}  // namespace vlaserve
