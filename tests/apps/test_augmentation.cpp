// Augmentation, oversampling and the sheet of inputs, as options of dura-train.
#include "tests/support/catch.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/report/picture_sheets.h"
#include "apps/program/data_options.h"
#include "data/image/preprocess.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

const ClassNames classes({"Menin=meningioma", "Glioma", "Pituitary"});
const std::vector<int64_t> images = {30, 50, 20};

std::vector<AugmentPolicy> policies(const AugmentOptions& options) { return options.policies(images, classes); }

Dataset training_set(const TextureData& data, const std::vector<int64_t>& rows, const PreprocessingOptions& preprocessing) {
  return Dataset(read_manifest(data.manifest()), rows, ClassNames({"rare", "usual"}), preprocessing.steps(), {.folder = data.path()});
}

// The square of `side` pixels at this place.
Image cut(const Image& sheet, int64_t top, int64_t left, int64_t side) {
  Image image(side, side, 3);
  for (int64_t r = 0; r < side; ++r) std::copy_n(sheet.row(top + r) + 3 * left, 3 * side, image.row(r));
  return image;
}

}  // namespace

TEST_CASE("each class gets the augmentation of the set, changed by what is said of the class", "[apps][train]") {
  using Policies = std::vector<AugmentPolicy>;
  CHECK(policies({}) == Policies(3));
  CHECK(policies({.preset = "light"}) == Policies(3, light_augmentation()));
  CHECK(policies({.preset = "mission"}) == Policies{light_augmentation(), light_augmentation(), strong_augmentation()});
  CHECK(policies({.preset = "mission", .rare = "Meningioma"}) ==
        Policies{strong_augmentation(), light_augmentation(), light_augmentation()});
  const Policies changed =
      policies({.preset = "mission", .rare = {}, .per_class = {"meningioma=strong,rotation=30", "Glioma=none", "Pituitary=vflip=0"}});
  AugmentPolicy menin = strong_augmentation(), pituitary = strong_augmentation();
  menin.rotation = 30, pituitary.vertical_flip = 0;
  CHECK(changed == Policies{menin, {}, pituitary});
  CHECK(describe(policies({.per_class = {"Glioma=rotation=5"}}), classes) == "Menin none; Glioma rotation=5; Pituitary none");
}

TEST_CASE("augmentation options that cannot be are refused by name", "[apps][train]") {
  const auto refused = [](const AugmentOptions& options, const std::string& message) {
    CHECK_THROWS_AS(policies(options), UsageError);
    CHECK_THROWS_WITH(policies(options), Contains(message));
  };
  refused({.rare = "Bogus"}, "--rare-class Bogus: the classes are Menin, Glioma, Pituitary");
  refused({.per_class = {"Menin"}}, "--augment-class Menin: write CLASS=");
  refused({.per_class = {"Bogus=light"}}, "there is no class 'Bogus'. The classes are Menin, Glioma, Pituitary");
  refused({.per_class = {"Menin=light", "meningioma=strong"}}, "Menin is given twice");
  refused({.per_class = {"Menin=zoom=wide"}}, "--augment-class Menin=zoom=wide: zoom is 'wide', expected LOW:HIGH");
}

TEST_CASE("train takes and records augmentation by class and oversampling, from options or a configuration", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string configuration = out.write(
      "augment.toml", "augment = \"light\"\naugment-class = [\"rare=rotation=30,zoom=0.25\", \"usual=none\"]\noversample = 0.5\n");
  const std::vector<std::string> common = {"--data",  data.path(), "--depth",         "18", "--size",          "32",
                                           "--batch", "8",         "--phase1-epochs", "1",  "--phase2-epochs", "0"};
  const ProgramRun run = run_program("dura-train", joined(common, {"--config", configuration, "--out", out / "run"}));
  CAPTURE(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("augmentation: rare rotation=30,hflip=0.5,zoom=0.75:1.25; usual none"));
  CHECK_THAT(run.output, Contains("16 versions of the 8 images of rare, 50 % of its 32"));
  CHECK_THAT(run.output, !Contains("warning"));
  const auto facts = nlohmann::json::parse(read_text_file(out / "run/run.json", 1 << 20));
  CHECK(facts["augmentation"] == "rare rotation=30,hflip=0.5,zoom=0.75:1.25; usual none");
  CHECK(facts["epoch_images"] == "32");
  CHECK_THAT(read_text_file(out / "run/config.toml", 1 << 20),
             Contains("augment-class = [\"rare=rotation=30,zoom=0.25\", \"usual=none\"]") && Contains("oversample = 0.5"));
  // The same by options gives the same model; copies without augmentation are worth a warning.
  const ProgramRun again =
      run_program("dura-train", joined(common, {"--augment", "light", "--augment-class", "rare=rotation=30,zoom=0.25", "usual=none",
                                                "--oversample", "0.5", "--out", out / "again", "--threads", "1"}));
  REQUIRE(again.code == 0);
  const auto model = [&](const char* name) { return read_text_file(out / name + "/model.safetensors", uint64_t{1} << 30); };
  CHECK((model("run") == model("again")));
  const ProgramRun plain = run_program("dura-train", joined(common, {"--oversample", "0.5", "--out", out / "plain"}));
  CHECK(plain.code == 0);
  CHECK_THAT(plain.output, Contains("warning: --oversample repeats the images of rare unchanged"));
}

TEST_CASE("the sheet of inputs shows every step and the very pixels of the first epochs", "[apps][train]") {
  const TextureData data;
  const PreprocessingOptions preprocessing{.size = 144, .denoise = "median3", .clahe = 2};
  const Dataset dataset = training_set(data, {0, 1, 2, 3}, preprocessing);
  const std::vector<AugmentPolicy> augment = {strong_augmentation(), light_augmentation()};
  const Image sheet =
      input_sheet(dataset, ClassNames({"rare", "usual"}), {.folder = data.path(), .policies = augment, .seed = 9, .epochs = 2});
  // A margin of 6, captions of 13 pixels above each row and each cell, 4 pixels between cells.
  const int64_t side = 144, row = side + 2 * 13 + 6;
  CHECK(sheet.width == 6 + 6 * (side + 4) - 4 + 6);
  CHECK(sheet.height == 6 + 4 * row);
  Loader loader(dataset, {.batch_size = 4, .training = true, .seed = 9, .policies = augment, .items = {}});
  for (int64_t epoch : {0, 1}) {
    loader.start_epoch(epoch);
    REQUIRE(loader.next());
    for (int64_t k = 0; k < 4; ++k) {
      const int64_t i = loader.batch().samples[static_cast<size_t>(k)];
      const Image cell = cut(sheet, 6 + i * row + 26, 6 + (4 + epoch) * (side + 4), side);
      const uint8_t* fed = loader.batch().images.data<uint8_t>() + k * 3 * side * side;
      CHECK(std::equal(cell.pixels.begin(), cell.pixels.end(), fed));
    }
  }
  CHECK(cut(sheet, 6 + 26, 6 + 3 * (side + 4), side) == to_rgb(dataset.image(0)));  // behind the last step
  CHECK(cut(sheet, 6 + 26, 6 + (side + 4), side) != cut(sheet, 6 + 26, 6 + 2 * (side + 4), side));
}

TEST_CASE("train --sheet draws some pictures of each class and leaves no run behind", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::vector<std::string> options = {"--data", data.path(), "--size", "32", "--augment", "mission", "--seed", "3"};
  const ProgramRun run = run_program("dura-train", joined(options, {"--sheet", out / "sheet.png"}));
  CAPTURE(run.output);
  CHECK(run.code == 0);
  CHECK_THAT(run.output, Contains("wrote ") && !Contains("epoch"));
  const Image sheet = read_image(out / "sheet.png");
  CHECK(sheet.height == 6 + 6 * (144 + 2 * 13 + 6));  // three pictures of either class
  CHECK(sheet.width == 6 + 6 * 148 - 4 + 6);          // original, resized, four epochs
  CHECK(run_program("dura-train", joined(options, {"--sheet", out / "again.png", "--threads", "1"})).code == 0);
  CHECK(read_image(out / "again.png") == sheet);
  CHECK(std::distance(std::filesystem::directory_iterator(out.path()), {}) == 2);
  const ProgramRun nowhere = run_program("dura-train", joined(options, {"--sheet", "/proc/nowhere/sheet.png"}));
  CHECK((nowhere.code == 1 && nowhere.output.find("/proc/nowhere/sheet.png") != std::string::npos));
  const ProgramRun neither = run_program("dura-train", options);
  CHECK((neither.code == 2 && neither.output.find("--out is required") != std::string::npos));
}

TEST_CASE("the rows of a sheet are spread over each class", "[apps][train]") {
  Manifest manifest{.name = "m", .columns = {}, .rows = {}};
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < 11; ++i) {
    manifest.rows.push_back({.file = std::to_string(i), .label = i == 4 || i == 7 ? "Menin" : "Glioma"});
    rows.push_back(i);
  }
  CHECK(rows_of_each_class(manifest, rows, classes, 3) == std::vector<int64_t>{4, 7, 0, 3, 8});
}

TEST_CASE("with repeated augmentations the same model comes out with and without kept features", "[apps][train][feature_cache]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::vector<std::string> common = {"--data",           data.path(),
                                           "--depth",          "18",
                                           "--size",           "32",
                                           "--batch",          "8",
                                           "--phase1-epochs",  "3",
                                           "--phase2-epochs",  "2",
                                           "--weights",        write_initial_model(out / "weights.safetensors"),
                                           "--unfreeze",       "layer4",
                                           "--augment-repeat", "2",
                                           "--augment",        "mission",
                                           "--threads",        "1"};
  const ProgramRun kept = run_program("dura-train", joined(common, {"--out", out / "kept"}));
  CAPTURE(kept.output);
  REQUIRE(kept.code == 0);
  CHECK_THAT(kept.output, Contains("phase1: features of 48 pictures behind stage 4 kept") &&
                              Contains("phase2: features of 48 pictures behind stage 3 kept"));
  REQUIRE(run_program("dura-train", joined(common, {"--feature-budget", "0", "--out", out / "again"})).code == 0);
  const auto model = [&](const char* name) { return read_text_file(out / name + "/model.safetensors", uint64_t{1} << 30); };
  CHECK((model("kept") == model("again")));
}
