#include "model/io/file_system.h"

namespace vlaserve {

Status WriteFileAtomically(FileSystem& files, const std::string& path, std::string_view content) {
  VLASERVE_ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, files.CreateAtomically(path));
  VLASERVE_RETURN_IF_ERROR(file->Append(std::as_bytes(std::span(content.data(), content.size()))));
  return file->Commit();
}

std::string JoinPath(std::string_view dir, std::string_view name) {
  if (dir.empty()) return std::string(name);
  while (dir.ends_with('/')) dir.remove_suffix(1);
  while (name.starts_with('/')) name.remove_prefix(1);
  return std::string(dir) + "/" + std::string(name);
}

}  // namespace vlaserve
