// A small model and pictures for programs that try the C interface in ways that a test case cannot: with an allocator or a sanitizer of
// their own.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "data/image/codec.h"
#include "engine/base/file.h"
#include "models/c/dura.h"
#include "models/network/model_file.h"
#include "tests/support/temporary_folder.h"

namespace dura::test {

struct CModel {
  std::vector<uint8_t> bytes, png;
  Image pixels{40, 33, 3};

  CModel() {
    const TemporaryFolder folder;
    Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b", "c"}, .seed = 7});
    write_model(folder / "model.safetensors", model, {.size = 32, .clahe = 2});
    bytes = read_file(folder / "model.safetensors", uint64_t{1} << 30);
    for (size_t i = 0; i < pixels.pixels.size(); ++i) pixels.pixels[i] = static_cast<uint8_t>(i * 7 % 251);
    png = encode_png(pixels);
  }
  dura_picture encoded() const {
    dura_picture p = {};
    p.size = sizeof p, p.encoded = png.data(), p.encoded_size = png.size();
    return p;
  }
  dura_picture in_memory() const {
    dura_picture p = {};
    p.size = sizeof p, p.pixels = pixels.pixels.data(), p.width = 33, p.height = 40, p.channels = 3;
    return p;
  }
};

// What a call answered: the probabilities, and the map where there is one.
inline std::vector<double> answered(const dura_call* call) {
  std::vector<double> all;
  if (const double* p = dura_probabilities(call, 0)) all.assign(p, p + 3);
  int32_t width = 0, height = 0;
  if (const float* map = dura_map(call, &width, &height)) all.insert(all.end(), map, map + width * height);
  return all;
}

}  // namespace dura::test
