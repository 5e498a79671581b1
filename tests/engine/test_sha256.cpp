#include <unistd.h>

#include "tests/support/catch.h"
#include <filesystem>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"

using namespace dura;

TEST_CASE("SHA-256 of the published test messages", "[sha256]") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 does not depend on how a message is cut", "[sha256]") {
  // Lengths around the block size and the padding's limit of 56 bytes; expected values from Python's hashlib.
  std::string digests;
  for (size_t length : {55u, 56u, 57u, 63u, 64u, 65u, 119u, 120u, 128u, 200u}) {
    std::vector<uint8_t> message(length);
    for (size_t i = 0; i < length; ++i) message[i] = static_cast<uint8_t>(i * 7 + length);
    const std::string whole = sha256_hex(message);
    for (size_t cut = 0; cut <= length; ++cut) {
      Sha256 hash;
      hash.update(std::span(message).first(cut));
      hash.update(std::span(message).subspan(cut));
      REQUIRE(hash.finish_hex() == whole);
    }
    digests += whole;
  }
  CHECK(sha256_hex(digests) == "17989668aa5acbc3b69079b4d2a89863b0f74af0b4b9666ece27cdabb477213c");
}

TEST_CASE("SHA-256 of a file is that of its contents", "[sha256]") {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / concat("dura-sha256-", ::getpid());
  for (size_t bytes : {size_t{0}, size_t{1000}, size_t{1} << 18, (size_t{1} << 19) + 3}) {
    const std::string contents(bytes, 'x');
    write_file_atomically(path, contents);
    CHECK(sha256_file_hex(path) == sha256_hex(contents));
  }
  std::filesystem::remove(path);
  CHECK_THROWS_AS(sha256_file_hex(path), Error);
}
