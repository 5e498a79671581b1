// Noise removal and CLAHE belong to a model: what training did to a picture, every later program does.
#include "tests/support/catch.h"

#include "models/network/model_file.h"
#include "data/image/enhancement.h"
#include "data/image/resize.h"
#include "tests/support/picture_formula.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

TEST_CASE("preprocessing goes from noise to contrast to size", "[apps][preprocessing]") {
  CHECK(PreprocessingOptions{.size = 64}.steps().description() == "resize 64x64");
  const PreprocessingOptions all{.size = 32, .denoise = "salt-and-pepper", .clahe = 2.5, .clahe_tiles = 4};
  CHECK(all.steps().description() == "salt-and-pepper removal; CLAHE 2.5 4x4; resize 32x32");
  const PreprocessingOptions median{.size = 20, .denoise = "median5"};
  const Image image = picture(33, 41, 1);
  CHECK(median.steps().slice(image) == resize_bilinear(median_filter(image, 5), 20, 20));
  CHECK(median.steps().mask(image) == resize_nearest(image, 20, 20));  // a mask is not filtered
}

TEST_CASE("a model file keeps its preprocessing, and refuses what it does not know", "[apps][preprocessing]") {
  const PreprocessingOptions options{.size = 48, .denoise = "median3", .clahe = 1.75, .clahe_tiles = 6};
  std::map<std::string, std::string> entries = options.metadata();
  CHECK(PreprocessingOptions::from_metadata(entries, "m").metadata() == entries);
  CHECK(PreprocessingOptions::from_metadata({{"dura.size", "48"}}, "m").steps().description() == "resize 48x48");
  CHECK_THROWS_WITH(PreprocessingOptions::from_metadata({}, "m"), Contains("m: ") && Contains("dura.size"));
  entries["dura.denoise"] = "magic";
  CHECK_THROWS_WITH(PreprocessingOptions::from_metadata(entries, "m"), Contains("magic"));
  entries["dura.denoise"] = "none", entries["dura.clahe"] = "-3";
  CHECK_THROWS_WITH(PreprocessingOptions::from_metadata(entries, "m"), Contains("dura.clahe") && Contains("-3"));
}

TEST_CASE("programs prepare pictures as the model was trained", "[apps][preprocessing]") {
  const TextureData data;
  const TemporaryFolder folder;
  const auto train = [&](const std::string& run, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--data",  data.path(), "--out",           run, "--depth",         "18", "--size", "32",
                                          "--batch", "8",         "--phase1-epochs", "1", "--phase2-epochs", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program("dura-train", arguments);
  };
  const ProgramRun trained = train(folder / "run", {"--clahe", "3", "--clahe-tiles", "2", "--denoise", "median3"});
  INFO(trained.output);
  REQUIRE(trained.code == 0);
  const ModelFile file = read_model(folder / "run/model.safetensors", {});
  CHECK(file.preprocessing.steps().description() == "median 3x3; CLAHE 3 2x2; resize 32x32");

  // The same weights under another preparation answer otherwise: the programs do use the entry.
  PreprocessingOptions plain = file.preprocessing;
  plain.clahe = 0, plain.denoise = "none";
  write_model(folder / "plain.safetensors", *file.model, plain);
  const ProgramRun prepared = run_program("dura-predict", {"--model", folder / "run/model.safetensors", data.path() + "/p0.png"});
  const ProgramRun unprepared = run_program("dura-predict", {"--model", folder / "plain.safetensors", data.path() + "/p0.png"});
  CHECK(prepared.code == 0);
  CHECK(prepared.output != unprepared.output);

  const ProgramRun refused = train(folder / "other", {"--denoise", "magic"});
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output, Contains("magic"));
}
