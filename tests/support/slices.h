// A small data set of pictures on disk.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "data/image/codec.h"
#include "data/set/dataset.h"
#include "tests/support/picture_formula.h"
#include "tests/support/temporary_folder.h"

namespace dura::test {

// A folder of small slices, every fourth a Menin, each a different cut of the test picture.
struct Slices {
  TemporaryFolder folder;
  Manifest manifest{.name = "m.csv", .columns = {"file", "label", "mask"}, .rows = {}};
  std::vector<int64_t> rows;

  explicit Slices(int count, int64_t size = 24) {
    const Image source = picture(size + 2 * count, size, 3);
    for (int i = 0; i < count; ++i) {
      Image slice(size, size, 3);
      std::copy_n(source.row(2 * i), slice.pixels.size(), slice.pixels.begin());
      if (i % 2) slice = to_gray(slice);
      const std::string file = concat("s", i, ".png");
      const std::vector<uint8_t> png = encode_png(slice);
      folder.write(file, {png.begin(), png.end()});  // not write_png: syncing every file would take most of the time
      manifest.rows.push_back({.file = file, .label = i % 4 == 0 ? "Menin" : "Glioma"});
      rows.push_back(i);
    }
  }
  Dataset dataset(DatasetOptions options = {}, int64_t size = 20) const {
    options.folder = folder.path();
    return Dataset(manifest, rows, ClassNames({"Menin", "Glioma"}), Preprocessing({resize_step(size, size)}), options);
  }
};

}  // namespace dura::test
