// The material of alone_test.sh. Hidden: it has nothing to say where the script does not name a folder.
#include "tests/support/catch.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "models/network/model_file.h"
#include "apps/training/prediction.h"
#include "data/image/codec.h"
#include "engine/base/file.h"

using namespace dura;

TEST_CASE("a small model, a picture and its class, for the script that runs dura-predict alone", "[.alone]") {
  const char* where = std::getenv("DURA_ALONE_FOLDER");
  REQUIRE(where);
  const std::filesystem::path folder = where;
  Classifier model({.backbone = {.depth = 18}, .classes = {"Menin", "Glioma"}, .seed = 3});
  write_model(folder / "model.safetensors", model, {.size = 32});
  Image picture(32, 32, 3);
  for (size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = static_cast<uint8_t>(i * 7 % 251);
  write_png((folder / "slice.png").string(), picture);

  const Tensor pixels = Tensor::empty({1, 32, 32, 3}, DType::u8, Device::cpu);
  std::copy(picture.pixels.begin(), picture.pixels.end(), pixels.data<uint8_t>());
  model.set_training(false);
  const std::vector<double> p = softmax_rows(download_as_double(model(model.normalize(pixels)).value()), 2);
  REQUIRE(p.size() == 2);
  char row[128];
  std::snprintf(row, sizeof row, "slice.png,%s,%.6f,%.6f,%.6f\n", p[0] >= p[1] ? "Menin" : "Glioma", std::max(p[0], p[1]), p[0], p[1]);
  write_file_atomically(folder / "expected.csv", concat("file,class,probability,p_Menin,p_Glioma\n", row));
}
