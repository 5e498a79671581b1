// SHA-256 (FIPS 180-4): names a file by its contents. Used to recognise published weights and to check what was written; no secrets.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace dura {

class Sha256 {
 public:
  void update(std::span<const uint8_t> bytes);
  // The digest in 64 lower-case hexadecimal digits. Ends the message: call once, last.
  std::string finish_hex();

 private:
  void absorb(const uint8_t* block);  // 64 bytes

  std::array<uint32_t, 8> state_{0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
  std::array<uint8_t, 64> pending_{};  // the part of a block that is not absorbed yet
  uint64_t length_ = 0;                // bytes so far
};

std::string sha256_hex(std::span<const uint8_t> bytes);
std::string sha256_hex(std::string_view text);
// Of a file's contents, read in pieces. Throws Error when it cannot be read.
std::string sha256_file_hex(const std::filesystem::path& path);

}  // namespace dura
