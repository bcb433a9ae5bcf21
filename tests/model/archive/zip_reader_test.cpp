#include "model/archive/zip_reader.h"

#include <string>

#include "tests/model/archive/zip_files.h"
#include "tests/support/catch.h"
#include "tests/support/matchers.h"

namespace vlaserve {
namespace {

constexpr size_t kEntryFlags = 8;
constexpr size_t kEntryMethod = 10;

std::string TwoRecords() { return MakeZip({{"a/one", "first"}, {"a/two", std::string(300, 'x')}}); }

// Position of the n-th directory entry.
size_t Entry(const std::string& zip, int n) {
  size_t at = zip.find("PK\x01\x02");
  for (; n > 0; --n) at = zip.find("PK\x01\x02", at + 4);
  REQUIRE(at != std::string::npos);
  return at;
}

std::string Failure(std::string bytes) {
  const auto zip = OpenZip(std::move(bytes));
  REQUIRE_FALSE(zip.ok());
  CHECK(zip.status().code() == StatusCode::kUnreadable);
  CHECK_THAT(zip.status().message(), ContainsText("test.zip: byte "));
  return zip.status().message();
}

TEST_CASE("zip: records are found with their content, aligned to 64 bytes") {
  const auto zip = OpenZip(TwoRecords());
  REQUIRE(zip.ok());
  REQUIRE(zip->records().size() == 2);
  const ZipRecord* two = zip->Find("a/two");
  REQUIRE(two != nullptr);
  CHECK(two->offset % 64 == 0);
  CHECK(zip->CheckCrc(*two).ok());
  CHECK(*zip->Read(*two, 300) == std::string(300, 'x'));
  CHECK_THAT(zip->Read(*two, 299).status().message(), ContainsText("a/two has 300 bytes"));
  CHECK(zip->Find("a/three") == nullptr);
}

TEST_CASE("zip: a file cut anywhere is refused") {
  const std::string whole = TwoRecords();
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO("cut to " << size);
    CHECK_FALSE(OpenZip(whole.substr(0, size)).ok());
  }
  CHECK_THAT(Failure(whole.substr(0, whole.size() - 1)), ContainsText("truncated"));
}

TEST_CASE("zip: no flipped byte is taken for other content") {
  const std::string whole = TwoRecords();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      INFO("byte " << at << " mask " << mask);
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ mask);
      const auto zip = OpenZip(changed);
      if (!zip.ok()) continue;
      for (const ZipRecord& record : zip->records()) {
        const auto content = zip->Read(record, 1000);
        if (!content.ok()) continue;
        CHECK(*content == (record.name == "a/one" ? "first" : std::string(300, 'x')));
      }
    }
  }
}

TEST_CASE("zip: bytes before and behind are refused") {
  CHECK_THAT(Failure(TwoRecords() + "x"), ContainsText("something was appended"));
  CHECK_FALSE(OpenZip("#!/bin/sh\n" + TwoRecords()).ok());
}

TEST_CASE("zip: a name that occurs twice is refused") {
  CHECK_THAT(Failure(MakeZip({{"a/one", "x"}, {"a/one", "y"}})), ContainsText("occurs twice"));
}

TEST_CASE("zip: names that lead elsewhere are refused") {
  for (const char* name : {"", "/etc/passwd", "a/../../b", "..", "a\\b", "a/\nb"}) {
    INFO(name);
    CHECK_THAT(Failure(MakeZip({{name, "x"}})), ContainsText("plain relative path"));
  }
}

TEST_CASE("zip: encryption and unknown compression are refused") {
  std::string encrypted = TwoRecords();
  encrypted[Entry(encrypted, 1) + kEntryFlags] |= 1;
  CHECK_THAT(Failure(encrypted), ContainsText("record a/two is encrypted"));
  std::string lzma = TwoRecords();
  lzma[Entry(lzma, 0) + kEntryMethod] = 14;
  CHECK_THAT(Failure(lzma), ContainsText("record a/one is compressed with method 14"));
}

TEST_CASE("zip: records over each other are refused") {
  // The content of a/one holds a whole record a/two, which the directory then points at.
  const std::string inner = MakeZip({{"a/two", "12345"}});
  const std::string header = inner.substr(0, inner.find("12345") + 5);
  std::string zip = MakeZip({{"a/one", header}, {"a/two", "12345"}});
  REQUIRE(OpenZip(zip).ok());
  const size_t nested = zip.find(header, 4);
  zip[Entry(zip, 1) + 42] = static_cast<char>(nested & 0xff);
  zip[Entry(zip, 1) + 43] = static_cast<char>(nested >> 8);
  CHECK_THAT(Failure(zip), ContainsText("record a/two overlaps the record before it"));
}

TEST_CASE("zip: a record that reaches into the directory is refused") {
  std::string zip = TwoRecords();
  const size_t second = Entry(zip, 1);
  const size_t local = zip.find("PK\x03\x04", 4);
  for (const size_t at : {second + 20, second + 24, local + 18, local + 22}) zip[at + 1] = 0x7f;
  CHECK_THAT(Failure(zip), ContainsText("do not fit before the zip directory"));
}

TEST_CASE("zip: content that does not match its CRC is refused") {
  std::string zip = TwoRecords();
  zip[zip.find("first")] = 'F';
  const auto reader = OpenZip(zip);
  REQUIRE(reader.ok());
  const ZipRecord* record = reader->Find("a/one");
  REQUIRE(record != nullptr);
  CHECK_THAT(reader->Read(*record, 100).status().message(), ContainsText("record a/one"));
  CHECK_THAT(reader->CheckCrc(*record).message(), ContainsText("CRC-32"));
}

}  // namespace
}  // namespace vlaserve
