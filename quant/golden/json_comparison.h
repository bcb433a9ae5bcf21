// Compares texts, numbers and lists with those of golden JSON files. Free of LibTorch.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "model/io/file_system.h"
#include "model/io/status.h"
#include "quant/golden/summary.h"

namespace vlaserve {

// One case. `summary` outlives it. Not thread-safe.
class JsonComparison {
 public:
  // Counts the case.
  JsonComparison(GoldenSummary& summary, std::string case_id);

  // False, with a failure that shows the first difference, if they are not equal.
  bool Equal(const std::string& value, const nlohmann::json& found, const nlohmann::json& expected);
  // That `found` is an error with `message` in it.
  void FailsWith(const std::string& message, const Status& found);
  // False, with a failure, if `found` is an error.
  bool Succeeds(const Status& found);
  void Fail(const std::string& value, const std::string& difference);

 private:
  GoldenSummary& summary_;
  std::string case_id_;
};

// Hands the JSON file `folder`/`name` to `compare`, if there is such a file: a golden folder may
// hold a part. kUnreadable for a file that is not JSON or, by nlohmann's exceptions from `compare`,
// not of the expected form.
Status CompareJsonFile(FileSystem& files, const std::string& folder, const std::string& name,
                       const std::function<void(const nlohmann::json& golden)>& compare);

}  // namespace vlaserve
