// Opens a trained model, says what each picture shows, and draws where the network looked: map1.png, map2.png, ...
//   usage: predict MODEL PICTURE...
#include <cstdio>
#include <exception>
#include <string>

#include <dura/data/image/codec.h>
#include <dura/models/predictor.h>

int main(int argc, char** argv) try {
  dura::Predictor predictor(argc > 1 ? argv[1] : "model.safetensors");
  for (int i = 2; i < argc; ++i) {
    const dura::Image picture = dura::read_image(argv[i]);
    const dura::Explanation answer = predictor.explain(picture);  // predict(picture) where no heat map is wanted
    std::printf("%s %s %.2f\n", argv[i], predictor.classes().at(answer.predicted).c_str(), answer.probability);
    dura::write_png("map" + std::to_string(i - 1) + ".png", dura::overlay(picture, answer.map));
  }
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
