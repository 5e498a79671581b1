// ONNX files, looked at by a reader and computed by an interpreter that know nothing of the writer.
#include "tests/support/catch.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/image/preprocess.h"
#include "engine/base/random.h"
#include "engine/base/text.h"
#include "models/network/answer.h"
#include "models/network/model_file.h"
#include "models/onnx/export.h"
#include "models/onnx/graph.h"
#include "tests/support/onnx_reader.h"
#include "tests/support/picture_formula.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/weight_files.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

constexpr int64_t size = 32;

// Every statistic and every gamma differs, so that no two tensors can be taken for each other.
std::unique_ptr<Classifier> network(const ResNetOptions& backbone, InputConvention input) {
  auto model = std::make_unique<Classifier>(ClassifierOptions{.backbone = backbone, .classes = {"a", "b", "c"}, .input = input, .seed = 5});
  const StateDict initial = state_of(*model);
  StateDict varied;
  for (const StateDict::Entry& e : initial.entries()) {
    if (e.array.dimensions().size() > 1) {
      varied.add(e.name, e.array);
      continue;
    }
    Random random(random_key(3, e.name));
    std::vector<float> values(static_cast<size_t>(e.array.numel()));
    for (float& v : values)
      v = static_cast<float>(e.name.ends_with("running_var") || e.name.ends_with(".weight") ? random.uniform(0.5, 1.5)
                                                                                            : random.uniform(-0.3, 0.3));
    varied.add(e.name, Array::of(e.array.dimensions(), ElementType::f32, values));
  }
  load_state(*model, varied, Strict::yes, "varied");
  return model;
}

std::vector<Image> pictures() {
  std::vector<Image> two = {picture(size, size, 3), picture(size, size, 3)};
  std::reverse(two[1].pixels.begin(), two[1].pixels.end());
  return two;
}

OnnxTensor pixels_input() {
  OnnxTensor x{.extents = {2, size, size, 3}, .values = {}, .type = 2};
  for (const Image& image : pictures()) x.values.insert(x.values.end(), image.pixels.begin(), image.pixels.end());
  return x;
}

// (N,3,H,W), as a caller makes it who has the file's metadata alone.
OnnxTensor images_input(const std::map<std::string, std::string>& metadata) {
  const std::vector<std::string> mean = split_at(metadata.at("dura.mean"), ' '), deviation = split_at(metadata.at("dura.deviation"), ' ');
  OnnxTensor x{.extents = {2, 3, size, size}, .values = {}, .type = 1};
  for (const Image& image : pictures())
    for (size_t c = 0; c < 3; ++c)
      for (size_t i = 0; i < size * size; ++i) {
        const size_t channel = metadata.at("dura.channels") == "BGR" ? 2 - c : c;
        x.values.push_back((image.pixels[3 * i + channel] - parse_number(mean[c]).value()) / parse_number(deviation[c]).value());
      }
  return x;
}

OnnxModel exported(Classifier& model, const OnnxOptions& options) {
  const TemporaryFolder folder;
  write_onnx(folder / "model.onnx", model, {.size = size, .denoise = "median3"}, options);
  return read_onnx(read_text_file(folder / "model.onnx", uint64_t{1} << 30));
}

void expect_answers(Classifier& model, OnnxInput input) {
  const OnnxModel onnx = exported(model, {.input = input});
  const auto values = onnx.run(input == OnnxInput::pixels ? pixels_input() : images_input(onnx.metadata));
  model.set_training(false);
  const std::vector<double> logits = download_as_double(model(model.normalize(rgb_batch(pictures()))).value());
  const std::vector<double> probabilities = softmax_rows(logits, 3);
  REQUIRE(onnx.outputs.size() == 2);
  for (const auto& [name, expected] : {std::pair(std::string("logits"), logits), std::pair(std::string("probabilities"), probabilities)}) {
    CAPTURE(name);
    const OnnxTensor& found = values.at(name);
    CHECK(found.extents == std::vector<int64_t>{2, 3});
    double largest = 1;
    for (const double v : expected) largest = std::max(largest, std::abs(v));
    for (size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(found.values[i] - expected[i]) < 1e-4 * largest);
  }
}

}  // namespace

TEST_CASE("an exported network computes what the network computes, from pixels and from images", "[models][onnx]") {
  const auto v1_5 = network({.depth = 18}, InputConvention::torch);
  const auto caffe = network({.depth = 18, .stem_pool = StemPool::ceil}, InputConvention::caffe);
  for (const OnnxInput input : {OnnxInput::pixels, OnnxInput::images}) {
    expect_answers(*v1_5, input);
    expect_answers(*caffe, input);
  }
}

TEST_CASE("an exported ResNet-50 has its strides where the variant has them", "[models][onnx]") {
  for (const ResNetVariant variant : {ResNetVariant::v1, ResNetVariant::v1_5}) {
    const auto model = network({.depth = 50, .variant = variant}, InputConvention::torch);
    expect_answers(*model, OnnxInput::pixels);
  }
}

TEST_CASE("an ONNX file holds every weight bit for bit, and says how the model is used", "[models][onnx]") {
  const auto model = network({.depth = 34}, InputConvention::caffe);
  const OnnxModel onnx = exported(*model, {.batch = 4});
  CHECK(onnx.operator_set == 13);
  CHECK(onnx.format_version == 7);
  const StateDict weights = state_of(*model);
  for (const StateDict::Entry& e : weights.entries()) {
    CAPTURE(e.name);
    const OnnxTensor& found = onnx.constants.at(e.name);
    REQUIRE(found.extents == e.array.dimensions());
    bool same = true;
    for (int64_t i = 0; i < e.array.numel(); ++i) same = same && found.values[static_cast<size_t>(i)] == e.array.value(i);
    CHECK(same);
  }
  CHECK(onnx.constants.size() == weights.size() + 3);  // channel order, mean, deviation
  std::set<std::string> read;
  for (const OnnxNode& node : onnx.nodes) read.insert(node.inputs.begin(), node.inputs.end());
  for (const auto& [name, tensor] : onnx.constants) CHECK(read.contains(name));
  REQUIRE(onnx.inputs.size() == 1);
  CHECK(onnx.inputs[0].name == "pixels");
  CHECK(onnx.inputs[0].type == 2);
  CHECK(onnx.inputs[0].extents == std::vector<int64_t>{4, size, size, 3});
  CHECK(onnx.outputs.at(0).extents == std::vector<int64_t>{4, 3});
  CHECK_THROWS_WITH(onnx.run(pixels_input()), Contains("declared as 4"));
  CHECK(exported(*model, {}).inputs.at(0).extents == std::vector<int64_t>{-1, size, size, 3});
  for (const auto& [key, value] : model_metadata(*model, {.size = size, .denoise = "median3"})) CHECK(onnx.metadata.at(key) == value);
  CHECK(onnx.metadata.at("dura.channels") == "BGR");
  CHECK(onnx.metadata.at("dura.onnx_input") == "pixels");
  // A card stands beside what the network says of itself, and changes nothing of it.
  const auto more = exported(*model, {.more = {{"dura.card.limits", "x\ny"}, {"dura.depth", "18"}, {"dura.channels", "RGB"}}}).metadata;
  CHECK(more.at("dura.card.limits") == "x\ny");
  CHECK(more.at("dura.depth") == "34");
  CHECK(more.at("dura.channels") == "BGR");
}

TEST_CASE("what cannot be an ONNX file is refused, and nothing is left of it", "[models][onnx]") {
  const TemporaryFolder folder;
  const auto model = network({.depth = 18}, InputConvention::torch);
  CHECK_THROWS_WITH(write_onnx(folder / "m.onnx", *model, {}, {.batch = -1}), Contains("a batch of -1"));
  CHECK_THROWS_WITH(write_onnx(folder.path() + "/no/m.onnx", *model, {}), Contains("does not exist"));
  Classifier wide({.backbone = {.depth = 18, .tensors = {.compute = DType::f64}}, .classes = {"a", "b"}});
  CHECK_THROWS_WITH(write_onnx(folder / "m.onnx", wide, {}), Contains("f64, expected f32"));
  CHECK(std::filesystem::is_empty(folder.path()));
  onnx::Graph graph;
  CHECK_THROWS_WITH(graph.add("flags", Array::of<uint8_t>({1}, ElementType::u8, {1})), Contains("'flags' is of u8"));
}

TEST_CASE("protocol buffers are written as their description has them", "[models][onnx]") {
  const TemporaryFolder folder;
  onnx::ProtoMessage inner, message;
  inner.integer(1, 150);
  const std::vector<uint8_t> lent = {9, 8};
  message.integer(1, -1).real(2, 1.0f).text(3, "testing").borrow(16, lent).message(4, std::move(inner)).borrow(5, {});
  AtomicFile file(folder / "message");
  message.write(file);
  file.commit();
  const std::string expected(
      "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x15\x00\x00\x80\x3f\x1a\x07testing\x82\x01\x02\x09\x08\x22\x03\x08\x96\x01\x2a\x00",
      37);
  CHECK(read_text_file(folder / "message", 1000) == expected);
  CHECK(message.size() == expected.size());
}
