// A directory of its own for one test, removed with all it holds at the end of its life.
#pragma once

#include <string>
#include <string_view>

namespace vlaserve {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // Path of an entry, which need not exist.
  std::string File(std::string_view name) const;
  // Writes a file (creating folders in between) and gives its path; fails the test if it cannot.
  std::string Write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

}  // namespace vlaserve
