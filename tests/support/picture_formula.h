// The test picture of tests/golden/picture_formula.py: a ramp with noise and hard edges, each pixel from its coordinates alone.
#pragma once
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/folders.h"
#include "data/image/image.h"
#include "engine/core/formula.h"

namespace dura::test {

inline Image picture(int64_t height, int64_t width, int64_t channels) {
  Image image(height, width, channels);
  for (int64_t r = 0; r < height; ++r)
    for (int64_t c = 0; c < width; ++c)
      for (int64_t k = 0; k < channels; ++k) {
        const uint64_t noise = formula::mix64(static_cast<uint64_t>((r * 4096 + c) * 4 + k)) % 64;
        const uint64_t edge = (r / 9 + c / 7 + k) % 2 ? 128 : 0;
        image.at(r, c, k) = static_cast<uint8_t>((edge + noise + static_cast<uint64_t>(3 * r + 2 * c) % 64) % 256);
      }
  return image;
}

// The lines of tests/golden/NAME. Throws where the file is missing or empty, so that a test cannot pass on nothing.
inline std::vector<std::string> golden_lines(const std::string& name) {
  std::ifstream in(source_folder() + "/tests/golden/" + name);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  DURA_CHECK(!lines.empty(), "golden file ", name, " is missing or empty");
  return lines;
}

inline std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

}  // namespace dura::test
