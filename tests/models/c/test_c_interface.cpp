// dura.h from the outside: the same bits as the predictor's, and every wrong call an answer in words.
#include "tests/support/catch.h"

#include <cmath>
#include <cstring>
#include <thread>

#include "engine/base/file.h"
#include "engine/base/parallel.h"
#include "engine/base/random.h"
#include "models/c/dura.h"
#include "models/predictor.h"
#include "tests/support/texture_data.h"
#include "weights/safetensors.h"

using namespace dura;
using Catch::Contains;
using dura::test::texture;

namespace {

struct Call {
  dura_call* handle = dura_call_new();
  Call() = default;
  ~Call() { dura_call_free(handle); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  operator dura_call*() const { return handle; }
  dura_status status() const { return dura_call_status(handle); }
  std::string message() const { return dura_message(handle); }
  std::vector<double> probabilities(size_t picture = 0, size_t classes = 3) const {
    const double* p = dura_probabilities(handle, picture);
    return p ? std::vector<double>(p, p + classes) : std::vector<double>();
  }
};

struct Model {
  dura_model* handle;
  explicit Model(dura_model* m) : handle(m) {}
  ~Model() { dura_close(handle); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  operator dura_model*() const { return handle; }
};

// A model of three classes for pictures that are cleaned and brought to 32x32; as a file and as bytes.
struct Material {
  TemporaryFolder folder;
  std::string file = folder / "model.safetensors";
  std::vector<uint8_t> bytes;
  Image gray = texture(1, true, 40, 33), color;

  Material() {
    Classifier model({.backbone = {.depth = 18}, .classes = {"a", "b", "c"}, .seed = 7});
    write_model(file, model, {.size = 32, .denoise = "median3"});
    bytes = read_file(file, uint64_t{1} << 30);
    color = to_rgb(texture(2, false, 37, 45));
    for (size_t i = 0; i < color.pixels.size(); i += 3) color.pixels[i] = static_cast<uint8_t>(i % 251);
  }
};

dura_picture of_file(const std::string& path) {
  dura_picture p = {};
  p.size = sizeof p, p.file = path.c_str();
  return p;
}
dura_picture of_bytes(const std::vector<uint8_t>& bytes) {
  dura_picture p = {};
  p.size = sizeof p, p.encoded = bytes.data(), p.encoded_size = bytes.size();
  return p;
}
dura_picture of_pixels(const Image& image) {
  dura_picture p = {};
  p.size = sizeof p, p.pixels = image.pixels.data();
  p.width = static_cast<int32_t>(image.width), p.height = static_cast<int32_t>(image.height);
  p.channels = static_cast<int32_t>(image.channels);
  return p;
}

// The same picture with `gap` bytes behind each row, the lowest row first where `upside_down`.
struct Strided {
  std::vector<uint8_t> memory;
  dura_picture picture;
  Strided(const Image& image, size_t gap, bool upside_down) : picture(of_pixels(image)) {
    const auto row = static_cast<size_t>(image.width * image.channels), rows = static_cast<size_t>(image.height), step = row + gap;
    memory.assign(step * rows - gap, 0xEE);  // nothing lies behind the last row
    for (size_t r = 0; r < rows; ++r)
      std::copy_n(image.row(static_cast<int64_t>(r)), row, memory.data() + (upside_down ? rows - 1 - r : r) * step);
    picture.pixels = memory.data() + (upside_down ? (rows - 1) * step : 0);
    picture.stride = static_cast<ptrdiff_t>(step) * (upside_down ? -1 : 1);
  }
};

}  // namespace

TEST_CASE("the C interface answers with the predictor's bits, from files, bytes and pixels of any stride", "[models][c]") {
  const Material m;
  Predictor predictor(m.file);
  const Call call;
  const Model from_file(dura_open_file(call, m.file.c_str(), nullptr));
  REQUIRE(from_file.handle);
  const Model from_memory(dura_open_memory(call, m.bytes.data(), m.bytes.size(), nullptr));
  REQUIRE(from_memory.handle);
  CHECK(dura_class_count(from_file) == 3);
  CHECK(dura_class_name(from_memory, 2) == std::string("c"));
  CHECK(dura_class_name(from_memory, 3) == nullptr);
  for (const Image* image : {&m.gray, &m.color}) {
    const Answer expected = predictor.predict(*image);
    const std::vector<uint8_t> png = encode_png(*image);
    const std::string path = m.folder / "slice.png";
    write_png(path, *image);
    const Strided padded(*image, 13, false), reversed(*image, 0, true), both(*image, 5, true);
    for (const dura_model* model : {from_file.handle, from_memory.handle})
      for (const dura_picture& picture :
           {of_file(path), of_bytes(png), of_pixels(*image), padded.picture, reversed.picture, both.picture}) {
        REQUIRE(dura_predict(call, const_cast<dura_model*>(model), &picture, 1) == DURA_OK);
        CHECK(call.message().empty());
        CHECK(dura_answer_count(call) == 1);
        CHECK(dura_predicted(call, 0) == expected.predicted);
        CHECK(call.probabilities() == expected.probabilities);
      }
  }
}

TEST_CASE("many pictures in one call of the C interface are answered in their order", "[models][c]") {
  const Material m;
  Predictor predictor(m.file);
  const Call call;
  const std::vector<uint8_t> png = encode_png(m.color);
  const std::vector<dura_picture> pictures = {of_pixels(m.gray), of_bytes(png), of_pixels(m.gray)};
  dura_options options = {};
  options.size = sizeof options;
  for (const int32_t batch : {0, 2}) {
    options.batch = batch;
    const Model model(dura_open_file(call, m.file.c_str(), &options));
    REQUIRE(dura_predict(call, model, pictures.data(), pictures.size()) == DURA_OK);
    REQUIRE(dura_answer_count(call) == 3);
    CHECK(call.probabilities(0) == call.probabilities(2));
    const std::vector<double> expected = predictor.predict(m.color).probabilities, second = call.probabilities(1);
    for (size_t c = 0; c < 3; ++c) CHECK(second[c] == Approx(expected[c]).epsilon(batch == 2 ? 1e-4 : 0));
    CHECK(dura_predicted(call, 3) == -1);
    CHECK(dura_probabilities(call, 3) == nullptr);
    CHECK(dura_predict(call, model, nullptr, 0) == DURA_OK);
    CHECK(dura_answer_count(call) == 0);
  }
}

TEST_CASE("the C interface explains as the library does: raw map, picture under its map, layer of colours", "[models][c]") {
  const Material m;
  Predictor predictor(m.file);
  const Call call;
  const Model model(dura_open_file(call, m.file.c_str(), nullptr));
  const dura_picture picture = of_pixels(m.color);
  int32_t width = -1, height = -1;
  for (const char* class_name : {static_cast<const char*>(nullptr), "b"}) {
    dura_explain_options options = {};
    options.size = sizeof options, options.stage = "layer2", options.method = "layercam", options.class_name = class_name;
    options.opacity = 0.25;
    const Explanation expected = predictor.explain(m.color, {.method = CamMethod::layer_cam, .stage = 2, .explained = class_name ? 1 : -1});
    REQUIRE(dura_explain(call, model, &picture, &options) == DURA_OK);
    CHECK(dura_explained(call) == expected.explained);
    CHECK(dura_predicted(call, 0) == expected.predicted);
    CHECK(call.probabilities() == expected.probabilities);
    const float* map = dura_map(call, &width, &height);
    CHECK((width == expected.map.width && height == expected.map.height));
    CHECK(std::vector<float>(map, map + width * height) == expected.map.values);

    const Image blended = overlay(m.color, expected.map, 0.25), colors = overlay(m.color, expected.map, 1);
    const uint8_t* rgba = dura_overlay(call, &width, &height);
    REQUIRE((width == m.color.width && height == m.color.height));
    int wrong = 0;
    for (int64_t i = 0; i < width * height; ++i)
      wrong += std::memcmp(rgba + 4 * i, &blended.pixels[static_cast<size_t>(3 * i)], 3) != 0 || rgba[4 * i + 3] != 255;
    CHECK(wrong == 0);

    options.overlay = DURA_OVERLAY_LAYER;
    REQUIRE(dura_explain(call, model, &picture, &options) == DURA_OK);
    rgba = dura_overlay(call, nullptr, nullptr);
    for (int64_t i = 0; i < width * height; ++i)
      wrong += std::memcmp(rgba + 4 * i, &colors.pixels[static_cast<size_t>(3 * i)], 3) != 0 || rgba[4 * i + 3] != 64;
    CHECK(wrong == 0);

    options.overlay = DURA_OVERLAY_NONE;
    REQUIRE(dura_explain(call, model, &picture, &options) == DURA_OK);
    CHECK(dura_overlay(call, &width, &height) == nullptr);
    CHECK((width == 0 && height == 0));
  }
  REQUIRE(dura_explain(call, model, &picture, nullptr) == DURA_OK);
  CHECK(dura_map(call, &width, &height) != nullptr);
  CHECK((width == 1 && height == 1));  // layer4 of 32x32 pixels
  REQUIRE(dura_predict(call, model, &picture, 1) == DURA_OK);
  CHECK(dura_map(call, nullptr, nullptr) == nullptr);
  CHECK(dura_explained(call) == -1);
}

TEST_CASE("opening what is no model is an error of the C interface with code and message", "[models][c]") {
  const Material m;
  const Call call;
  const auto refused = [&](dura_model* model, dura_status status, const char* text) {
    CHECK(model == nullptr);
    CHECK(call.status() == status);
    CHECK_THAT(call.message(), Contains(text));
  };
  CHECK(call.status() == DURA_OK);
  refused(dura_open_file(call, nullptr, nullptr), DURA_ERROR_USAGE, "path of the model is NULL");
  refused(dura_open_memory(call, nullptr, 10, nullptr), DURA_ERROR_USAGE, "is NULL");
  refused(dura_open_file(call, (m.folder / "nothing").c_str(), nullptr), DURA_ERROR_FILE, "nothing: cannot be opened");
  refused(dura_open_file(call, m.folder.path().c_str(), nullptr), DURA_ERROR_FILE, "is a directory");
  refused(dura_open_memory(call, m.bytes.data(), 0, nullptr), DURA_ERROR_MODEL, "a model in memory: has 0 bytes");
  refused(dura_open_memory(call, m.bytes.data(), m.bytes.size() - 1, nullptr), DURA_ERROR_MODEL, "truncated");
  m.folder.write("text", "file,label\n");
  refused(dura_open_file(call, (m.folder / "text").c_str(), nullptr), DURA_ERROR_MODEL, "not a safetensors file");
  Classifier other({.backbone = {.depth = 18}, .classes = {"a", "b"}, .seed = 7});
  write_safetensors(m.folder / "weights", state_of(other));
  refused(dura_open_file(call, (m.folder / "weights").c_str(), nullptr), DURA_ERROR_MODEL, "dura.format");
  std::vector<uint8_t> infinite = m.bytes;
  std::memset(infinite.data() + infinite.size() - 4, 0xff, 4);
  refused(dura_open_memory(call, infinite.data(), infinite.size(), nullptr), DURA_ERROR_MODEL, "Weights must be finite");

  dura_options options = {};
  const auto with = [&](const auto& change) {
    options = {};
    options.size = sizeof options;
    change();
    return dura_open_file(call, m.file.c_str(), &options);
  };
  refused(with([&] { options.size = 3; }), DURA_ERROR_USAGE, "dura_options.size is 3");
  refused(with([&] { options.device = "abacus"; }), DURA_ERROR_USAGE, "device is 'abacus', expected one of cpu, cuda");
  refused(with([&] { options.precision = "f8"; }), DURA_ERROR_USAGE, "precision is 'f8'");
  refused(with([&] { options.threads = -1; }), DURA_ERROR_USAGE, "threads is -1");
  refused(with([&] { options.threads = 1025; }), DURA_ERROR_USAGE, "threads is 1025");
  refused(with([&] { options.batch = 4097; }), DURA_ERROR_USAGE, "batch is 4097");
  CHECK(dura_open_file(nullptr, m.file.c_str(), nullptr) == nullptr);
  const Model model(with([] {}));
  CHECK(model.handle);
  CHECK(call.status() == DURA_OK);
}

TEST_CASE("a wrong picture is an error of the C interface with code and message, and the model goes on", "[models][c]") {
  const Material m;
  const Call call;
  const Model model(dura_open_file(call, m.file.c_str(), nullptr));
  const auto refused = [&](dura_picture picture, dura_status status, const char* text) {
    const dura_picture good = of_pixels(m.gray);
    REQUIRE(dura_predict(call, model, &good, 1) == DURA_OK);
    CHECK(dura_predict(call, model, &picture, 1) == status);
    CHECK(call.status() == status);
    CHECK_THAT(call.message(), Contains(text));
    CHECK(dura_answer_count(call) == 0);
    CHECK(dura_predicted(call, 0) == -1);
    CHECK(dura_explain(call, model, &picture, nullptr) == status);
    CHECK(dura_map(call, nullptr, nullptr) == nullptr);
  };
  const auto changed = [&](const auto& change) {
    dura_picture p = of_pixels(m.gray);
    change(p);
    return p;
  };
  refused(changed([](dura_picture& p) { p.size = 0; }), DURA_ERROR_USAGE, "dura_picture.size is 0");
  refused(changed([](dura_picture& p) { p.size -= 4; }), DURA_ERROR_USAGE, "dura_picture.size is");  // the next would lie between words
  refused(changed([](dura_picture& p) { p.pixels = nullptr; }), DURA_ERROR_USAGE, "has 0 of file, encoded and pixels");
  refused(changed([](dura_picture& p) { p.file = "x"; }), DURA_ERROR_USAGE, "has 2 of file, encoded and pixels");
  refused(changed([](dura_picture& p) { p.reserved = 1; }), DURA_ERROR_USAGE, "reserved is 1");
  refused(changed([](dura_picture& p) { p.channels = 4; }), DURA_ERROR_USAGE, "4 channels");
  refused(changed([](dura_picture& p) { p.width = 0; }), DURA_ERROR_USAGE, "40 rows of 0 pixels");
  refused(changed([](dura_picture& p) { p.height = -1; }), DURA_ERROR_USAGE, "-1 rows");
  refused(changed([](dura_picture& p) { p.width = 2147483647; }), DURA_ERROR_USAGE, "rows of 2147483647 pixels");
  refused(changed([](dura_picture& p) { p.width = p.height = 8000; }), DURA_ERROR_USAGE, "in all");
  refused(changed([](dura_picture& p) { p.stride = 32; }), DURA_ERROR_USAGE, "stride of 32 bytes, its rows have 33");
  refused(changed([](dura_picture& p) { p.stride = -32; }), DURA_ERROR_USAGE, "stride of -32 bytes");
  const std::string nothing = m.folder / "nothing.png";
  refused(of_file(nothing), DURA_ERROR_FILE, "nothing.png: cannot be opened");
  refused(of_file(m.file), DURA_ERROR_PICTURE, "model.safetensors");
  refused(of_bytes({1, 2, 3, 4, 5, 6, 7, 8, 9}), DURA_ERROR_PICTURE, "picture 1 of 1");
  std::vector<uint8_t> png = encode_png(m.gray);
  png.resize(png.size() / 2);
  refused(of_bytes(png), DURA_ERROR_PICTURE, "picture 1 of 1");

  // The second of two: nothing is answered, and the message says which.
  const dura_picture two[] = {of_pixels(m.gray), of_bytes(png)};
  CHECK(dura_predict(call, model, two, 2) == DURA_ERROR_PICTURE);
  CHECK_THAT(call.message(), Contains("picture 2 of 2"));
  CHECK(dura_answer_count(call) == 0);
  CHECK(dura_predict(call, model, nullptr, 1) == DURA_ERROR_USAGE);
  CHECK(dura_explain(call, model, nullptr, nullptr) == DURA_ERROR_USAGE);
  CHECK(dura_predict(call, nullptr, two, 1) == DURA_ERROR_USAGE);
  CHECK_THAT(call.message(), Contains("the model is NULL"));
}

TEST_CASE("wrong options of an explanation are refused by the C interface", "[models][c]") {
  const Material m;
  const Call call;
  const Model model(dura_open_file(call, m.file.c_str(), nullptr));
  const dura_picture picture = of_pixels(m.gray);
  const auto refused = [&](const auto& change, const char* text) {
    dura_explain_options options = {};
    options.size = sizeof options;
    change(options);
    CHECK(dura_explain(call, model, &picture, &options) == DURA_ERROR_USAGE);
    CHECK_THAT(call.message(), Contains(text));
  };
  using Options = dura_explain_options;
  refused([](Options& o) { o.method = "tea leaves"; }, "no heat map method 'tea leaves'");
  refused([](Options& o) { o.stage = "layer5"; }, "no stage 'layer5'");
  refused([](Options& o) { o.class_name = "d"; }, "'d', the model knows a, b, c");
  refused([](Options& o) { o.opacity = 1.5; }, "opacity is 1.5");
  refused([](Options& o) { o.opacity = std::nan(""); }, "opacity is");
  refused([](Options& o) { o.overlay = 3; }, "overlay is 3");
  refused([](Options& o) { o.by_receptive_field = 2; }, "by_receptive_field is 2");
  refused([](Options& o) { o.size = 5000; }, "size is 5000");
}

TEST_CASE("NULL for every handle of the C interface is an answer, not a crash", "[models][c]") {
  CHECK(dura_version() == std::string("0.1.0"));
  const dura_picture picture = of_file("x");
  CHECK(dura_predict(nullptr, nullptr, &picture, 1) == DURA_ERROR_USAGE);
  CHECK(dura_explain(nullptr, nullptr, &picture, nullptr) == DURA_ERROR_USAGE);
  CHECK(dura_open_memory(nullptr, "x", 1, nullptr) == nullptr);
  CHECK(dura_call_status(nullptr) == DURA_ERROR_USAGE);
  CHECK(dura_message(nullptr) == std::string("the call is NULL"));
  CHECK(dura_class_count(nullptr) == 0);
  CHECK(dura_class_name(nullptr, 0) == nullptr);
  CHECK(dura_answer_count(nullptr) == 0);
  CHECK(dura_predicted(nullptr, 0) == -1);
  CHECK(dura_probabilities(nullptr, 0) == nullptr);
  CHECK(dura_explained(nullptr) == -1);
  int32_t width = 1, height = 1;
  CHECK(dura_map(nullptr, &width, &height) == nullptr);
  CHECK((width == 0 && height == 0));
  CHECK(dura_overlay(nullptr, nullptr, nullptr) == nullptr);
  dura_close(nullptr);
  dura_call_free(nullptr);
}

TEST_CASE("structs of older and newer programs are understood by the C interface, or refused", "[models][c]") {
  const Material m;
  const Call call;
  struct Newer {
    dura_options known;
    uint64_t unknown;
  } newer = {};
  newer.known.size = sizeof newer;
  const Model model(dura_open_file(call, m.file.c_str(), &newer.known));
  CHECK(model.handle);
  newer.unknown = 1;
  CHECK(dura_open_file(call, m.file.c_str(), &newer.known) == nullptr);
  CHECK(call.status() == DURA_ERROR_USAGE);
  CHECK_THAT(call.message(), Contains("does not know"));

  // An older caller whose dura_options end behind `device`: what lies behind is not read.
  dura_options older = {};
  older.size = offsetof(dura_options, precision), older.precision = "not an option of that version";
  const Model opened(dura_open_file(call, m.file.c_str(), &older));
  CHECK(opened.handle);

  // An array of a newer caller's pictures.
  struct NewerPicture {
    dura_picture known;
    uint64_t unknown;
  } pictures[2] = {{of_pixels(m.gray), 0}, {of_pixels(m.color), 0}};
  pictures[0].known.size = pictures[1].known.size = sizeof(NewerPicture);
  REQUIRE(dura_predict(call, model, &pictures[0].known, 2) == DURA_OK);
  CHECK(call.probabilities(1) == Predictor(m.file).predict(m.color).probabilities);
  pictures[1].known.size = sizeof(dura_picture);
  CHECK(dura_predict(call, model, &pictures[0].known, 2) == DURA_ERROR_USAGE);
  CHECK_THAT(call.message(), Contains("picture 2 of 2 has the size"));
}

TEST_CASE("the number of threads of the C interface is that of all open models", "[models][c]") {
  const Material m;
  const Call call;
  const int before = num_threads();
  dura_options three = {}, two = {};
  three.size = two.size = sizeof(dura_options);
  three.threads = 3, two.threads = 2;
  {
    const Model model(dura_open_file(call, m.file.c_str(), &three));
    CHECK(num_threads() == 3);
    const Model same(dura_open_file(call, m.file.c_str(), &three)), any(dura_open_file(call, m.file.c_str(), nullptr));
    CHECK((same.handle && any.handle));
    CHECK(dura_open_file(call, m.file.c_str(), &two) == nullptr);
    CHECK(call.status() == DURA_ERROR_USAGE);
    CHECK_THAT(call.message(), Contains("share a pool of 3 threads"));
  }
  {
    const Model model(dura_open_file(call, m.file.c_str(), &two));
    CHECK(model.handle);
    CHECK(num_threads() == 2);
    const dura_picture picture = of_pixels(m.gray);
    REQUIRE(dura_predict(call, model, &picture, 1) == DURA_OK);
    CHECK(call.probabilities() == Predictor(m.file).predict(m.gray).probabilities);
  }
  set_num_threads(before);
}

TEST_CASE("many threads on one model of the C interface have the same bits as one", "[models][c]") {
  const Material m;
  const Call call;
  const Model model(dura_open_file(call, m.file.c_str(), nullptr));
  const std::vector<uint8_t> png = encode_png(m.gray);
  const dura_picture pictures[] = {of_bytes(png), of_pixels(m.color)};
  Predictor predictor(m.file);
  const std::vector<double> expected[] = {predictor.predict(m.gray).probabilities, predictor.predict(m.color).probabilities};
  const Explanation map = predictor.explain(m.color);
  std::vector<int> wrong(8);
  std::vector<std::thread> threads;
  for (int& count : wrong)
    threads.emplace_back([&] {
      const Call own;
      for (int round = 0; round < 6; ++round)
        for (size_t i = 0; i < 2; ++i) {
          if (dura_predict(own, model, &pictures[i], 1) != DURA_OK || own.probabilities() != expected[i]) ++count;
          if (round % 3 != 2) continue;
          int32_t width = 0, height = 0;
          if (dura_explain(own, model, &pictures[1], nullptr) != DURA_OK) ++count;
          const float* values = dura_map(own, &width, &height);
          count += !values || std::vector<float>(values, values + width * height) != map.map.values;
        }
    });
  for (std::thread& t : threads) t.join();
  CHECK(wrong == std::vector<int>(8));
}

TEST_CASE("damaged bytes of models and pictures are answers or errors of the C interface", "[models][c]") {
  const Material m;
  const Call call;
  Random random(3);
  uint64_t header = 0;
  std::memcpy(&header, m.bytes.data(), 8);
  std::vector<uint8_t> damaged = m.bytes;
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    const size_t at = random.below(8 + header);
    damaged[at] = static_cast<uint8_t>(random.below(256));
    const Model model(dura_open_memory(call, damaged.data(), damaged.size(), nullptr));
    CHECK((model.handle != nullptr) == (call.status() == DURA_OK));
    if (!model.handle) CHECK((call.status() == DURA_ERROR_MODEL && !call.message().empty()));
    refused += !model.handle;
    damaged[at] = m.bytes[at];
  }
  CHECK(refused > 20);

  const Model model(dura_open_file(call, m.file.c_str(), nullptr));
  const std::vector<uint8_t> png = encode_png(m.color);
  for (int i = 0; i < 200; ++i) {
    std::vector<uint8_t> bytes = png;
    bytes[random.below(bytes.size())] = static_cast<uint8_t>(random.below(256));
    if (i % 3 == 0) bytes.resize(random.below(bytes.size()));
    if (bytes.empty()) bytes.push_back(0);
    const dura_picture picture = of_bytes(bytes);
    const dura_status status = dura_predict(call, model, &picture, 1);
    CHECK((status == DURA_OK || status == DURA_ERROR_PICTURE));
    CHECK(dura_answer_count(call) == (status == DURA_OK ? 1 : 0));
  }
}
