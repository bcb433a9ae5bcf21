// Exports every model folder of the golden directory into $VLASERVE_TEST_ARCHIVES for tests in
// other languages. Hidden: ctest runs it by name as their set-up.
#include <cstdlib>

#include "tests/model/export/exports.h"
#include "tests/support/catch.h"

TEST_CASE("archives for other programs", "[.archives]") {
  const char* directory = std::getenv("VLASERVE_TEST_ARCHIVES");
  REQUIRE(directory != nullptr);
  REQUIRE(vlaserve::PosixFileSystem().CreateDirectories(directory).ok());
  for (const std::string& folder : vlaserve::ModelFolders()) {
    vlaserve::ExportFolder(folder, std::string(directory) + "/" + folder + ".pt");
  }
}
