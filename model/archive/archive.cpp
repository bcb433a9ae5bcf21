#include "model/archive/archive.h"

#include <map>
#include <span>
#include <utility>

#include "model/archive/archive_contents.h"
#include "model/archive/archive_records.h"
#include "model/archive/load_module.h"
#include "model/archive/module.h"
#include "model/archive/module_check.h"
#include "model/archive/operator_check.h"
#include "model/archive/verify.h"

namespace vlaserve {

struct Archive::Impl {
  ArchiveRecords records;
  ArchiveContents contents;
  std::vector<std::string> methods;
  ArchiveModule module;
  std::map<std::string, std::span<const std::byte>> tensors;
};

Result<std::unique_ptr<Archive>> Archive::Open(FileSystem& files, const std::string& path) {
  VLASERVE_ASSIGN_OR_RETURN(ArchiveRecords records, ArchiveRecords::Open(files, path));
  VLASERVE_ASSIGN_OR_RETURN(ArchiveContents contents, ReadArchiveContents(records));
  VLASERVE_ASSIGN_OR_RETURN(torch::jit::Module module, LoadModule(records));
  VLASERVE_RETURN_IF_ERROR(CheckOperators(module, path));
  const PolicyType type = contents.geometry.type;
  VLASERVE_RETURN_IF_ERROR(CheckMethods(module, type, path));
  VLASERVE_ASSIGN_OR_RETURN(auto tensors, CheckStoredTensors(module, contents.digests, path));
  return std::unique_ptr<Archive>(new Archive(
      std::make_unique<Impl>(Impl{std::move(records), std::move(contents), PolicyMethods(type),
                                  ArchiveModule{std::move(module)}, std::move(tensors)})));
}

Archive::Archive(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Archive::~Archive() = default;

const std::string& Archive::path() const { return impl_->records.path(); }
uint64_t Archive::file_bytes() const { return impl_->records.zip().file()->bytes().size(); }
const PolicySettings& Archive::settings() const { return impl_->contents.settings; }
const Geometry& Archive::geometry() const { return impl_->contents.geometry; }
const NormStats& Archive::norm_stats() const { return impl_->contents.norm_stats; }
std::string_view Archive::tokenizer_model() const { return impl_->contents.tokenizer_model; }
const std::vector<LinearInfo>& Archive::linears() const { return impl_->contents.linears; }
const std::map<std::string, TensorDigest>& Archive::digests() const {
  return impl_->contents.digests.tensors;
}
const std::string& Archive::archive_sha256() const {
  return impl_->contents.digests.archive_sha256;
}
const std::vector<std::string>& Archive::methods() const { return impl_->methods; }
const std::string& Archive::export_json() const { return impl_->contents.export_json; }
ArchiveModule& Archive::module() { return impl_->module; }

std::vector<std::string> Archive::Verify() const {
  return FindDifferences(impl_->records, impl_->contents.digests, impl_->tensors);
}

void Archive::ReleasePages(const std::string& tensor) const {
  const auto found = impl_->tensors.find(tensor);
  if (found == impl_->tensors.end()) return;
  const MappedFile& file = *impl_->records.zip().file();
  file.Release(static_cast<size_t>(found->second.data() - file.bytes().data()),
               found->second.size());
}

}  // namespace vlaserve
