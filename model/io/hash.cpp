#include "model/io/hash.h"

#include <cstdlib>
#include <utility>

#include <openssl/evp.h>

#include "model/io/crc32c_kernels.h"

namespace vlaserve {
namespace {

// SHA-256 cannot fail once its context exists; if it does, OpenSSL is broken and no digest may be
// trusted.
void Require(int openssl_result) {
  if (openssl_result != 1) std::abort();
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

struct Sha256::Impl {
  std::unique_ptr<EVP_MD_CTX, FreeContext> context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  Require(EVP_DigestInit_ex(impl_->context.get(), EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::Update(std::span<const std::byte> bytes) {
  Require(EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()));
}

std::string Sha256::HexDigest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  Require(EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &size));
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(size_t{size} * 2);
  for (unsigned int i = 0; i < size; ++i) {
    hex.push_back(kDigits[digest[i] >> 4]);
    hex.push_back(kDigits[digest[i] & 0xF]);
  }
  return hex;
}

std::string Sha256Hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.HexDigest();
}

std::string Sha256Hex(std::string_view text) {
  return Sha256Hex(std::as_bytes(std::span(text.data(), text.size())));
}

uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t crc) {
  return HasCrc32cInstruction() ? Crc32cInstruction(bytes, crc) : Crc32cTable(bytes, crc);
}

}  // namespace vlaserve
