#include <map>
#include <memory>
#include <string>
#include <utility>

#include "model/archive/archive.h"
#include "model/archive/archive_contents.h"
#include "model/archive/archive_records.h"
#include "model/archive/zip_writer.h"

namespace vlaserve {

Status ReplaceSettings(FileSystem& files, const std::string& path, const std::string& out,
                       const std::optional<PolicySettings>& settings,
                       const std::optional<NormStats>& norm_stats) {
  VLASERVE_ASSIGN_OR_RETURN(const ArchiveRecords records, ArchiveRecords::Open(files, path));
  VLASERVE_ASSIGN_OR_RETURN(ArchiveContents contents, ReadArchiveContents(records));
  std::map<std::string, std::string, std::less<>> replaced;
  if (settings.has_value()) {
    VLASERVE_ASSIGN_OR_RETURN(
        contents.settings,
        FitSettingsToModel(*settings, contents.geometry, "policy settings " + settings->name));
    replaced["extra/policy.json"] = PolicySettingsToJson(contents.settings);
  }
  if (norm_stats.has_value()) {
    contents.norm_stats = *norm_stats;
    replaced["extra/norm_stats.json"] = NormStatsToJson(contents.norm_stats);
  }
  VLASERVE_RETURN_IF_ERROR(CheckNormStats(
      contents.norm_stats, contents.settings, contents.geometry.action_dim,
      norm_stats.has_value() ? "the new statistics" : path + ": extra/norm_stats.json"));

  VLASERVE_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file, files.CreateAtomically(out));
  ZipWriter writer(*file);
  for (const ZipRecord& record : records.zip().records()) {
    const auto content = replaced.find(records.NameOf(record));
    if (content == replaced.end()) {
      VLASERVE_RETURN_IF_ERROR(writer.Copy(records.zip(), record));
    } else {
      VLASERVE_RETURN_IF_ERROR(writer.Add(record.name, content->second));
    }
  }
  VLASERVE_RETURN_IF_ERROR(writer.Finish());
  return file->Commit();
}

}  // namespace vlaserve
