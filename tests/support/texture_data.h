// A data set that a network learns in seconds: stripes that rise against stripes that fall, with noise, as small gray pictures in a folder
// with a manifest; and a small weight file for it.
#pragma once
#include <string>
#include <vector>

#include "models/network/model_file.h"
#include "data/set/csv.h"
#include "data/image/codec.h"
#include "engine/core/formula.h"
#include "tests/support/temporary_folder.h"

namespace dura::test {

inline Image texture(int64_t number, bool rising, int64_t height, int64_t width) {
  Image image(height, width, 1);
  for (int64_t r = 0; r < height; ++r)
    for (int64_t c = 0; c < width; ++c) {
      const int64_t along = (rising ? r + c : r - c) + 4096 + number;
      const uint64_t noise = formula::mix64(static_cast<uint64_t>((number * 512 + r) * 512 + c)) % 64;
      image.at(r, c) = static_cast<uint8_t>(64 + (along / 4 % 2 ? 96 : 0) + noise);
    }
  return image;
}

// A mask: inside in the upper left quarter.
inline Image quarter(int64_t height, int64_t width) {
  Image mask(height, width, 1);
  for (int64_t r = 0; r < height / 2; ++r)
    for (int64_t c = 0; c < width / 2; ++c) mask.at(r, c) = 255;
  return mask;
}

inline void write_picture(const TemporaryFolder& folder, const std::string& name, const Image& image) {
  const std::vector<uint8_t> png = encode_png(image);
  folder.write(name, {png.begin(), png.end()});
}

struct TextureCounts {
  int64_t train = 24, val = 8, test = 8;
};

// Every third picture is of class "rare", the others of class "usual"; 32 to 40 pixels high and wide; files p0.png, p1.png, ...
struct TextureData {
  TemporaryFolder folder;

  // `masked_every`: so many pictures share one that has a mask, m0.png, ...: its upper left quarter; 0: there is no column of masks.
  explicit TextureData(const TextureCounts& counts = {}, int64_t masked_every = 0) {
    std::string manifest = concat("file,label,split,patient", masked_every > 0 ? ",mask\n" : "\n");
    int64_t i = 0;
    const auto add = [&](const char* split, int64_t count) {
      for (const int64_t end = i + count; i < end; ++i) {
        write_picture(folder, concat("p", i, ".png"), texture(i, i % 3 == 0, 32 + i % 9, 32 + i % 7));
        manifest += concat("p", i, ".png,", i % 3 == 0 ? "rare" : "usual", ",", split, ",P", i, masked_every > 0 ? "," : "\n");
        if (masked_every == 0) continue;
        const bool masked = i % masked_every == 0;
        if (masked) write_picture(folder, concat("m", i, ".png"), quarter(32 + i % 9, 32 + i % 7));
        manifest += masked ? concat("m", i, ".png\n") : "\n";
      }
    };
    add("train", counts.train);
    add("val", counts.val);
    add("test", counts.test);
    folder.write("manifest.csv", manifest);
  }
  const std::string& path() const { return folder.path(); }
  std::string manifest() const { return folder / "manifest.csv"; }
};

// A ResNet-18 with this seed's initial weights as a model file for pictures of 32x32.
inline std::string write_initial_model(const std::string& file, const std::vector<std::string>& classes = {"rare", "usual"},
                                       uint64_t seed = 7) {
  Classifier model({.backbone = {.depth = 18}, .classes = classes, .seed = seed});
  write_model(file, model, {.size = 32});
  return file;
}

inline std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace dura::test
