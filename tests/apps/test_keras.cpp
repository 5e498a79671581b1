// Weights of Keras: small files that the real Keras wrote, and the answer of its ResNet50.
#include "tests/support/catch.h"

#include <filesystem>
#include <sstream>

#include "apps/keras/hdf5_file.h"
#include "apps/keras/keras_weights.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "models/network/import.h"
#include "models/network/model_file.h"
#include "models/predictor.h"
#include "tests/support/folders.h"
#include "tests/support/hash_weights.h"
#include "tests/support/picture_formula.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

std::string keras_file(const std::string& name) { return source_folder() + "/tests/golden/keras/" + name; }

// The values of torchvision's tensor of this name; make_keras.py gave them to Keras.
std::vector<double> hashed(const std::string& name, const Dimensions& extents) {
  std::vector<double> values = golden::hash_tensor({name, extents}, 50);
  if (name == "conv1.weight")
    for (double& v : values) v /= 64;  // Keras' pixels are not divided by a deviation
  return values;
}

// torchvision's tensor as Keras has it: its layer and variable, and its numbers in Keras' layout.
KerasVariable keras_variable(const golden::NamedShape& shape) {
  const size_t dot = shape.name.rfind('.');
  const std::string module = shape.name.substr(0, dot), variable = shape.name.substr(dot + 1);
  KerasVariable v;
  const bool is_dense = module == "fc", is_conv = module.find("conv") != std::string::npos || module.ends_with("downsample.0");
  if (is_dense) {
    v.layer = "predictions";
  } else if (module == "conv1" || module == "bn1") {
    v.layer = is_conv ? "conv1_conv" : "conv1_bn";
  } else {
    const std::vector<std::string> parts = split_at(module, '.');  // layer1 0 conv2, or layer1 0 downsample 1
    const std::string place = parts[2] == "downsample" ? "0" : parts[2].substr(parts[2].size() - 1);
    v.layer = concat("conv", std::stoi(parts[0].substr(5)) + 1, "_block", std::stoi(parts[1]) + 1, "_", place, is_conv ? "_conv" : "_bn");
  }
  v.name = is_dense || is_conv          ? (variable == "weight" ? "kernel" : "bias")
           : variable == "weight"       ? "gamma"
           : variable == "bias"         ? "beta"
           : variable == "running_mean" ? "moving_mean"
                                        : "moving_variance";
  const std::vector<double> values = hashed(shape.name, shape.extents);
  const Dimensions& d = shape.extents;
  std::vector<float> moved;
  if (d.size() < 2) {
    moved.assign(values.begin(), values.end());
    v.array = Array::of(d, ElementType::f32, moved);
    return v;
  }
  const int64_t pixels = d.size() == 4 ? d[2] * d[3] : 1;
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t c = 0; c < d[1]; ++c)
      for (int64_t k = 0; k < d[0]; ++k) moved.push_back(static_cast<float>(values[static_cast<size_t>((k * d[1] + c) * pixels + p)]));
  v.array = Array::of(d.size() == 4 ? Dimensions{d[2], d[3], d[1], d[0]} : Dimensions{d[1], d[0]}, ElementType::f32, moved);
  return v;
}

// Keras' ResNet50 with three classes; its convolutions have biases.
std::vector<KerasVariable> keras_resnet50() {
  std::vector<KerasVariable> all;
  for (const golden::NamedShape& shape : golden::resnet_tensors(50, 3)) {
    all.push_back(keras_variable(shape));
    if (shape.extents.size() == 4)
      all.push_back(keras_variable({shape.name.substr(0, shape.name.rfind('.')) + ".bias", {shape.extents[0]}}));
  }
  return all;
}

}  // namespace

TEST_CASE("files of Keras are read in all four forms, every number in its place", "[apps][keras]") {
  for (const std::string name : {"small.weights.h5", "small_early.weights.h5", "small.h5", "small_whole.h5"}) {
    CAPTURE(name);
    const std::string head = name == "small_early.weights.h5" ? "dense" : "predictions";
    CHECK(is_hdf5(keras_file(name)));
    if (!has_hdf5()) {
      CHECK_THROWS_WITH(read_keras(keras_file(name)), Contains("built without HDF5"));
      continue;
    }
    const StateDict state = read_keras(keras_file(name));
    CHECK(state.size() == 12 * 2 + 12 * 4 + 2);
    CHECK(state.at("layer2.0.downsample.0.weight").dimensions() == Dimensions{8, 4, 1, 1});
    CHECK(state.at("layer1.1.conv2.weight").dimensions() == Dimensions{1, 1, 3, 3});
    CHECK(state.at(head + ".weight").dimensions() == Dimensions{3, 8});
    for (const StateDict::Entry& e : state.entries()) {
      CAPTURE(e.name);
      const bool variance = e.name.ends_with("running_var");
      const std::vector<double> expected =
          hashed(e.name.starts_with(head) ? "fc" + e.name.substr(head.size()) : e.name, e.array.dimensions());
      REQUIRE(e.array.numel() == std::ssize(expected));
      for (size_t i = 0; i < expected.size(); ++i)
        REQUIRE(e.array.value(static_cast<int64_t>(i)) == static_cast<float>(static_cast<float>(expected[i]) + (variance ? 1e-8 : 0)));
    }
    CHECK(state.metadata() ==
          std::map<std::string, std::string>{{"dura.input", "keras"}, {"dura.stem_pool", "padded"}, {"dura.variant", "v1"}});
  }
}

TEST_CASE("a ResNet50 of Keras answers as in Keras: V1, biases, its means, blue first", "[apps][keras]") {
  const StateDict state = keras_weights(keras_resnet50(), "k");
  ImportOptions options;
  options.classes = {"a", "b", "c"};
  options.conventions = conventions_of(state, "", "k");
  const ImportedModel imported = import_model(state, options, "k");
  CHECK(imported.head == "predictions");
  CHECK(imported.folded.size() == 53);
  const TemporaryFolder folder;
  write_model(folder / "model.safetensors", *imported.model, {.size = 64});
  Predictor predictor(folder / "model.safetensors");
  const Answer answer = predictor.predict(picture(64, 64, 3));
  std::istringstream in(read_text_file(keras_file("expected.txt"), 1 << 20));
  for (const double p : answer.probabilities) {
    double expected = 0;
    in >> expected;
    CHECK(std::abs(p - expected) < 1e-5);
  }
}

TEST_CASE("dura-convert takes Keras' files, and says what is no ResNet of Keras", "[apps][keras]") {
  if (!has_hdf5()) return;  // the first test looks at what is said then
  const TemporaryFolder folder;
  const ProgramRun run = run_program("dura-convert", {keras_file("small.h5"), folder / "w.safetensors"});
  CHECK(run.code == 0);
  CHECK_THAT(run.output, Contains("input keras, variant v1, stem pooling padded (stated in the file)") && Contains("74 tensors"));
  CHECK(read_safetensors(folder / "w.safetensors").metadata().at("dura.input") == "keras");
  // Of the right names and no ResNet-50: each tensor is named.
  const ProgramRun model =
      run_program("dura-convert", {keras_file("small.weights.h5"), folder / "m.safetensors", "--depth", "50", "--classes", "a", "b", "c"});
  CHECK(model.code == 1);
  CHECK_THAT(model.output,
             Contains("does not fit a ResNet-50") && Contains("layer1.0.conv1.weight: f32 (1,64,1,1) in the file, (64,64,1,1)"));

  const std::string whole = read_text_file(keras_file("small.h5"), 1 << 20);
  CHECK_THROWS_WITH(read_keras(folder.write("cut.h5", whole.substr(0, whole.size() / 2))),
                    Contains("cut.h5") && Contains("damaged or cut off"));
  const KerasVariable other = {"conv2d_1", "kernel", Array::of<float>({1, 1, 1, 1}, ElementType::f32, {0})};
  CHECK_THROWS_WITH(keras_weights({other}, "k"), Contains("k: holds no ResNet V1 of Keras") && Contains("'conv2d_1'"));
}

TEST_CASE("numbered layers of Keras get their names by the order and the extents of a ResNet's filters", "[apps][keras]") {
  const auto order_of = [](int depth) {
    std::vector<Dimensions> filters = {{7, 7, 3, 64}};
    std::vector<std::string> names = {"conv1"};
    int64_t inputs = 64, width = 64;
    int stage = 2;
    for (const int blocks : depth == 50 ? std::vector{3, 4, 6, 3} : std::vector{3, 4, 23, 3}) {
      for (int block = 1; block <= blocks; ++block) {
        const std::string of_block = concat("conv", stage, "_block", block, "_");
        filters.insert(filters.end(), {{1, 1, inputs, width}, {3, 3, width, width}});
        names.insert(names.end(), {of_block + "1", of_block + "2"});
        if (block == 1) filters.push_back({1, 1, inputs, 4 * width}), names.push_back(of_block + "0");
        filters.push_back({1, 1, width, 4 * width}), names.push_back(of_block + "3");
        inputs = 4 * width;
      }
      width *= 2, ++stage;
    }
    CHECK(resnet_layer_order(filters) == names);
    return filters;
  };
  order_of(101);
  const std::vector<Dimensions> filters = order_of(50);
  REQUIRE(filters.size() == 53);
  for (const size_t missing : {0u, 1u, 2u, 4u, 5u, 52u}) {
    CAPTURE(missing);
    std::vector<Dimensions> others = filters;
    others.erase(others.begin() + static_cast<ptrdiff_t>(missing));
    CHECK(resnet_layer_order(others).empty());
  }
  CHECK(resnet_layer_order({}).empty());
  CHECK(number_of_layer("conv2d", "conv2d") == 0);
  CHECK(number_of_layer("conv2d_12", "conv2d") == 12);
  CHECK_FALSE(number_of_layer("conv2d_transpose", "conv2d"));
  CHECK_FALSE(number_of_layer("dense", "conv2d"));
}
