// Damaged weight files, thousands of them, the same in every run: each may be read or refused with dura::Error, and nothing else may
// happen. Run under the asan preset, this also shows that no byte outside of a file is touched.
#include "tests/support/catch.h"

#include <cstdlib>

#include "engine/base/random.h"
#include "tests/support/weight_files.h"
#include "weights/pickle.h"
#include "weights/pth.h"

using namespace dura;
using namespace dura::test;

namespace {

// Copies of each file; DURA_FUZZ_ROUNDS asks for more than fit into a quick test run.
const uint64_t rounds = [] {
  const char* wanted = std::getenv("DURA_FUZZ_ROUNDS");
  return wanted ? std::strtoull(wanted, nullptr, 10) : uint64_t{3000};
}();

// One to four changes: bytes replaced, bits flipped, ranges removed, repeated, or overwritten by numbers that break arithmetic.
std::string damaged(std::string text, Random& random) {
  const auto position = [&] { return static_cast<size_t>(random.below(text.size())); };
  for (uint64_t changes = 1 + random.below(4); changes > 0 && !text.empty(); --changes) {
    const size_t at = position(), length = 1 + static_cast<size_t>(random.below(16));
    switch (random.below(6)) {
      case 0:
        text[at] = static_cast<char>(random.below(256));
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ (1 << random.below(8)));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(at, text.substr(position(), length));
        break;
      case 4: {
        const uint64_t hard[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff};
        text.replace(at, std::min<size_t>(8, text.size() - at),
                     little_endian(hard[random.below(8)]).substr(0, std::min<size_t>(8, text.size() - at)));
        break;
      }
      default:
        text.resize(at);
    }
  }
  return text;
}

// Runs `read` on `rounds` damaged copies. Anything but dura::Error escapes and fails the test.
template <class Read>
void survive(const std::string& good, const std::string& purpose, const Read& read) {
  uint64_t refused = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    Random random(random_key(7, purpose), round);
    const std::string bad = damaged(good, random);
    try {
      read(bad);
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > rounds / 4);
}

// Reads every element, so that the sanitizer sees a view that reaches too far.
void touch(const StateDict& state) {
  for (const StateDict::Entry& entry : state.entries()) statistics(entry.array);
}

}  // namespace

TEST_CASE("damaged safetensors files are refused or read, never worse", "[weights][fuzz]") {
  for (const char* name : {"types", "views", "module", "grouped"})
    survive(golden_text(concat(name, ".safetensors")), name, [](const std::string& text) { touch(parse_safetensors(shared(text), "w")); });
}

TEST_CASE("damaged torch files are refused or read, never worse", "[weights][fuzz]") {
  for (const char* name :
       {"types", "views", "module", "nested", "parameters", "grouped", "types_legacy", "views_legacy", "module_legacy", "foreign"})
    survive(golden_text(concat(name, ".pth")), name, [](const std::string& text) { touch(parse_pth(shared(text), "w")); });
}

TEST_CASE("damaged pickles with a correct CRC are refused or read, never worse", "[weights][fuzz]") {
  // Inside a zip container the CRC-32 would catch nearly every change before the pickle reader sees it.
  for (const char* name : {"types", "views", "module", "nested", "parameters"}) {
    const std::string text = golden_text(concat(name, ".pth"));
    const std::vector<ZipEntry> entries = read_zip({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, name);
    std::vector<ZipPart> parts;
    for (const ZipEntry& entry : entries)
      parts.push_back({std::string(entry.name), std::string(entry.contents.begin(), entry.contents.end())});
    REQUIRE(parts.front().name == concat(name, "/data.pkl"));
    const std::string pickle = parts.front().contents;
    survive(pickle, concat("pickle ", name), [&](const std::string& bad) {
      parts.front().contents = bad;
      touch(parse_pth(shared(zip_text(parts)), "w"));
    });
  }
}
