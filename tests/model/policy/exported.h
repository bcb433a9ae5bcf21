// Archives for the tests of model/policy, exported from the checkpoints of the golden folder.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/archive/archive.h"
#include "model/export/export.h"
#include "model/policy/policy.h"
#include "model/policy/torch_policy.h"
#include "model/settings/policy_settings.h"
#include "tests/support/temp_dir.h"

namespace vlaserve {

// Folders of the golden directory that hold a checkpoint with model-level cases, and those that
// hold LeRobot's cases; sorted.
std::vector<std::string> GoldenModelFolders();
std::vector<std::string> GoldenLerobotFolders();

// The named LIBERO policy that fits a checkpoint of the golden folder ("tiny_pi0").
PolicySettings SettingsFor(const std::string& folder);

// An archive in a directory of its own.
struct ExportedArchive {
  TempDir directory;
  std::string path;

  std::unique_ptr<Archive> Open() const;
};

// Exports the checkpoint of a golden folder with the golden tokenizer; unset settings: those that
// the checkpoint brings. Fails the running test if it cannot.
std::unique_ptr<ExportedArchive> ExportGolden(const std::string& folder,
                                              const std::optional<PolicySettings>& settings,
                                              StoredDtype dtype = StoredDtype::kAsStored);
// The same with the settings and statistics of LeRobot's own files. The weights come from that
// folder or, where it was trimmed, from the one without "_lerobot" in its name.
std::unique_ptr<ExportedArchive> ExportLerobot(const std::string& folder);
// The demo policy of this repository.
std::unique_ptr<ExportedArchive> ExportDemo();

// Fails the running test if the policy cannot be made.
std::unique_ptr<TorchPolicy> MakePolicy(const ExportedArchive& archive,
                                        const PolicyOptions& options = {});

// A picture that is different for every seed.
RgbImage TestPicture(uint32_t height, uint32_t width, uint32_t seed);
// A valid observation for these settings: pictures for every named camera, state zero, a prompt.
Observation TestObservation(const PolicySettings& settings);

}  // namespace vlaserve
