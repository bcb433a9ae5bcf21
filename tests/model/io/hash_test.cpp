#include "model/io/hash.h"

#include <cstdint>
#include <string>
#include <vector>

#include "model/io/crc32c_kernels.h"
#include "tests/support/catch.h"

namespace vlaserve {
namespace {

std::span<const std::byte> Bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

struct Vector {
  std::string bytes;
  uint32_t crc;
};

// RFC 3720 appendix B.4, and the check value of the CRC catalogues.
std::vector<Vector> Crc32cVectors() {
  std::string rising, falling;
  for (int i = 0; i < 32; ++i) {
    rising.push_back(static_cast<char>(i));
    falling.push_back(static_cast<char>(31 - i));
  }
  const unsigned char read_command[48] = {
      0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
      0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0};
  return {{std::string(32, '\0'), 0x8A9136AA},
          {std::string(32, '\xFF'), 0x62A8AB43},
          {rising, 0x46DD794E},
          {falling, 0x113FDB5C},
          {std::string(reinterpret_cast<const char*>(read_command), 48), 0xD9963A56},
          {"123456789", 0xE3069283},
          {"", 0}};
}

// Deterministic bytes without structure.
std::string Noise(size_t size) {
  std::string bytes;
  uint32_t state = 12345;
  for (size_t i = 0; i < size; ++i) {
    state = state * 1664525u + 1013904223u;
    bytes.push_back(static_cast<char>(state >> 24));
  }
  return bytes;
}

TEST_CASE("Sha256: published vectors (FIPS 180-4 examples)") {
  CHECK(Sha256Hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(Sha256Hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(Sha256Hex(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("Sha256: portions give the digest of the whole") {
  const std::string text = Noise(1000);
  for (const size_t portion : {1u, 7u, 64u, 999u}) {
    Sha256 hash;
    for (size_t i = 0; i < text.size(); i += portion) hash.Update(Bytes(text.substr(i, portion)));
    CHECK(hash.HexDigest() == Sha256Hex(text));
  }
}

TEST_CASE("Crc32c: RFC 3720 vectors, by table and by the dispatched path") {
  for (const Vector& vector : Crc32cVectors()) {
    CHECK(Crc32cTable(Bytes(vector.bytes), 0) == vector.crc);
    CHECK(Crc32c(Bytes(vector.bytes)) == vector.crc);
  }
}

TEST_CASE("Crc32c: instruction and table agree for all lengths and alignments") {
  if (!HasCrc32cInstruction()) {
    WARN("this processor has no crc32 instruction: only the table is tested");
    return;
  }
  const std::string noise = Noise(300);
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t size = 0; begin + size <= noise.size(); ++size) {
      const auto bytes = Bytes(noise).subspan(begin, size);
      REQUIRE(Crc32cInstruction(bytes, 0x1234u) == Crc32cTable(bytes, 0x1234u));
    }
  }
}

TEST_CASE("Crc32c: continues from the value of the bytes before") {
  const std::string noise = Noise(100);
  const uint32_t whole = Crc32c(Bytes(noise));
  for (size_t split = 0; split <= noise.size(); ++split) {
    const uint32_t first = Crc32c(Bytes(noise).first(split));
    REQUIRE(Crc32c(Bytes(noise).subspan(split), first) == whole);
  }
}

}  // namespace
}  // namespace vlaserve
