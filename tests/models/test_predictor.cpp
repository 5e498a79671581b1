// The one way from a picture to an answer: a predictor says what the network called step by step says.
#include "tests/support/catch.h"

#include <thread>

#include "data/image/preprocess.h"
#include "models/predictor.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/simulated_device.h"
#include "tests/support/texture_data.h"

using namespace dura;
using Catch::Contains;
using dura::test::texture;

namespace {

// A model of ResNet-18 for pictures that are cleaned and brought to 32x32.
std::string write_test_model(const TemporaryFolder& folder) {
  Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b", "c"}, .seed = 7});
  const std::string file = folder / "model.safetensors";
  write_model(file, model, {.size = 32, .denoise = "median3"});
  return file;
}

std::vector<Image> pictures() { return {texture(1, true, 40, 33), to_rgb(texture(2, false, 32, 32)), texture(3, true, 64, 50)}; }

std::vector<Answer> step_by_step(const std::string& file, const std::vector<Image>& slices) {
  const ModelFile read = read_model(file, {});
  std::vector<Image> prepared;
  for (const Image& slice : slices) prepared.push_back(read.preprocessing.steps().slice(slice));
  return answers_of((*read.model)(read.model->normalize(rgb_batch(prepared))).value());
}

}  // namespace

TEST_CASE("a predictor answers as the network that is called step by step, from files and from pixels", "[models][predictor]") {
  const TemporaryFolder folder;
  const std::string file = write_test_model(folder);
  Predictor predictor(file);
  CHECK(predictor.classes() == std::vector<std::string>{"a", "b", "c"});
  CHECK(predictor.prepared(pictures()[0]).height == 32);
  for (const Image& slice : pictures()) {
    const Answer expected = step_by_step(file, {slice}).front(), answer = predictor.predict(slice);
    REQUIRE(answer.probabilities.size() == 3);
    CHECK(answer.probabilities == expected.probabilities);
    CHECK(answer.predicted == expected.predicted);
    CHECK(answer.probability == answer.probabilities[static_cast<size_t>(answer.predicted)]);
    write_png(folder / "slice.png", slice);
    CHECK(predictor.predict(folder / "slice.png").probabilities == expected.probabilities);
  }
  CHECK_THROWS_WITH(predictor.predict(folder / "nothing.png"), Contains("nothing.png"));
  CHECK_THROWS_WITH(Predictor(folder / "nothing.safetensors"), Contains("nothing.safetensors"));
  CHECK_THROWS_WITH(Predictor(file, {.batch = 0}), Contains("a batch of 0 pictures"));
}

TEST_CASE("many pictures are answered in their order, whatever the batch", "[models][predictor]") {
  const TemporaryFolder folder;
  const std::string file = write_test_model(folder);
  const std::vector<Image> slices = pictures();
  CHECK(Predictor(file).predict(std::vector<Image>{}).empty());
  for (const int64_t batch : {1, 2, 3, 5}) {
    CAPTURE(batch);
    Predictor predictor(file, {.batch = batch});
    const std::vector<Answer> answers = predictor.predict(slices);
    REQUIRE(answers.size() == slices.size());
    for (size_t i = 0; i < slices.size(); ++i) {
      const Answer expected = step_by_step(file, {slices[i]}).front();
      for (size_t c = 0; c < 3; ++c) CHECK(answers[i].probabilities[c] == Approx(expected.probabilities[c]).epsilon(1e-4));
    }
  }
}

TEST_CASE("a predictor explains what it answers, on every device", "[models][predictor][cuda-sim]") {
  const TemporaryFolder folder;
  const std::string file = write_test_model(folder);
  const Image slice = texture(1, true, 40, 33);
  for (const Device device : {Device::cpu, test::cuda_under_test()}) {
    CAPTURE(device_name(device));
    Predictor predictor(file, {.tensors = {.device = device}});
    const Answer answer = predictor.predict(slice);
    const Explanation own = predictor.explain(slice, {.stage = 2}), other = predictor.explain(slice, {.stage = 2, .explained = 2});
    CHECK(own.predicted == answer.predicted);
    CHECK(own.explained == answer.predicted);
    for (size_t c = 0; c < 3; ++c) CHECK(own.probabilities[c] == Approx(answer.probabilities[c]).epsilon(1e-4));
    CHECK(other.explained == 2);
    CHECK(other.predicted == answer.predicted);
    CHECK(own.map.height == 4);
    CHECK(own.map.values.size() == 16);
    CHECK((own.map.values == other.map.values) == (answer.predicted == 2));
    const Image map = overlay(slice, own.map);
    CHECK((map.height == 40 && map.width == 33 && map.channels == 3));
    // Explaining leaves the step of inference as it was.
    CHECK(predictor.predict(slice).probabilities == answer.probabilities);
  }
}

TEST_CASE("each thread may have a predictor of its own", "[models][predictor]") {
  const TemporaryFolder folder;
  const std::string file = write_test_model(folder);
  std::vector<std::vector<double>> expected;
  for (const Image& slice : pictures()) expected.push_back(step_by_step(file, {slice}).front().probabilities);
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int& count : wrong)
    threads.emplace_back([&] {
      Predictor predictor(file);
      for (int round = 0; round < 4; ++round)
        for (size_t i = 0; i < expected.size(); ++i) count += predictor.predict(pictures()[i]).probabilities != expected[i];
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == std::vector<int>(4));
}

TEST_CASE("pictures of one size lie side by side in a batch, gray ones in three channels", "[models][predictor]") {
  const Image gray = texture(1, true, 4, 5);
  Image color(4, 5, 3);
  for (size_t i = 0; i < color.pixels.size(); ++i) color.pixels[i] = static_cast<uint8_t>(i);
  const Tensor batch = rgb_batch({gray, color});
  CHECK(batch.shape() == Shape{2, 4, 5, 3});
  for (int64_t i = 0; i < 60; ++i) {
    CHECK(batch.data<uint8_t>()[i] == gray.pixels[static_cast<size_t>(i / 3)]);
    CHECK(batch.data<uint8_t>()[60 + i] == i);
  }
  CHECK_THROWS_WITH(rgb_batch({gray, Image(5, 4, 1)}), Contains("4x5 and of 5x4"));
  CHECK_THROWS_WITH(rgb_batch({}), Contains("no pictures"));
}
