#include "server/cli/resident_memory.h"

#include "tests/support/catch.h"

namespace vlaserve {

TEST_CASE("resident memory is read from a status text in bytes") {
  const ResidentMemory memory = ParseResidentMemory(
      "Name:\tRssAnon\nVmRSS:\t  900 kB\nRssAnon:\t     123 kB\nRssFile:\t    4567 kB\n"
      "RssShmem:\t       8 kB\n");
  CHECK(memory.anonymous_bytes == 123 * 1024);
  CHECK(memory.file_bytes == 4567 * 1024);
  CHECK(ParseResidentMemory("Name:\tx\n").anonymous_bytes == 0);
}

TEST_CASE("this process has resident memory of both kinds") {
  const ResidentMemory memory = ReadResidentMemory();
  CHECK(memory.anonymous_bytes > 0);
  CHECK(memory.file_bytes > 0);
}

}  // namespace vlaserve
