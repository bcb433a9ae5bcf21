#include "server/cli/observation_arguments.h"

#include <utility>

#include "model/policy/run_options.h"
#include "server/cli/arguments.h"
#include "server/cli/observation_folder.h"
#include "server/client/request_json.h"
#include "server/service/request.h"

namespace vlaserve {
namespace {

constexpr size_t kMaxRequestBytes = size_t{64} << 20;

// A failure about `path` that is a matter of usage.
Status RequestError(const std::string& path, const Status& status) {
  const std::string field = status.field().empty() ? "" : status.field() + ": ";
  return {StatusCode::kInvalidArgument, path + ": " + field + status.message()};
}

Result<NamedObservation> ReadRequest(FileSystem& files, const std::string& path, uint64_t place,
                                     const Archive& archive, int64_t num_steps) {
  const auto text = files.Read(path, kMaxRequestBytes);
  if (!text.ok()) return Status(StatusCode::kInvalidArgument, text.status().message());
  VLASERVE_ASSIGN_OR_RETURN(const v1::InferRequest request, ParseInferRequestJson(*text, path));
  if (const Status status = CheckInferRequest(request, archive.settings()); !status.ok()) {
    return RequestError(path, status);
  }
  Result<Observation> observation = DecodeObservation(request);
  if (!observation.ok()) return RequestError(path, observation.status());
  NamedObservation named;
  named.name = path;
  named.observation = *std::move(observation);
  named.options = MakeInferOptions(request, num_steps, [place] { return place; });
  return named;
}

}  // namespace

void ObservationArguments::AddTo(CLI::App& command, const std::string& golden_help) {
  command.add_option("--golden", golden, golden_help)->check(CheckPath);
  command
      .add_option("--observations", observations,
                  "Folder with index.json and pictures, as configs/demo_policy/calibration")
      ->check(CheckPath);
  command
      .add_option("--request", requests,
                  "FILE with an InferRequest in protobuf's JSON form; may be repeated")
      ->allow_extra_args(false)
      ->check(CheckPath);
  command
      .add_option("--num-steps", num_steps,
                  "Denoise steps of every observation; default: as it says itself")
      ->check(CLI::Range(int64_t{1}, kMaxDenoiseSteps));
}

Result<std::vector<NamedInput>> ObservationArguments::Read(FileSystem& files,
                                                           const Archive& archive,
                                                           const PolicyOptions& policy) const {
  if (empty()) {
    return Status(
        StatusCode::kInvalidArgument,
        "no observations; name a folder with --golden or --observations, or files with --request");
  }
  std::vector<NamedInput> inputs;
  if (!golden.empty()) {
    VLASERVE_ASSIGN_OR_RETURN(inputs, GoldenInputs(files, golden, archive));
  }
  VLASERVE_ASSIGN_OR_RETURN(const RunOptions run, ResolveOptions(policy, archive.settings()));
  std::vector<NamedObservation> named;
  if (!observations.empty()) {
    VLASERVE_ASSIGN_OR_RETURN(
        named, ReadObservationFolder(files, observations, archive.settings(), run.num_steps));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    VLASERVE_ASSIGN_OR_RETURN(NamedObservation request,
                              ReadRequest(files, requests[i], i, archive, run.num_steps));
    named.push_back(std::move(request));
  }
  VLASERVE_ASSIGN_OR_RETURN(std::vector<NamedInput> prepared, PrepareInputs(named, archive));
  for (NamedInput& input : prepared) inputs.push_back(std::move(input));
  if (num_steps) {
    for (NamedInput& input : inputs) input.input.num_steps = *num_steps;
  }
  return inputs;
}

}  // namespace vlaserve
