// dura-prepare's findings about a data set: shortcuts, control classifier, effective classes, lesion sizes, plots.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "data/set/manifest.h"
#include "engine/base/file.h"
#include "engine/base/random.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// 60 pictures of noise, a third of them rare, with masks of growing squares; `leaky`: the rare class is bright and has a plane of its own.
struct NoiseData {
  TemporaryFolder folder;
  explicit NoiseData(bool leaky);
  const std::string& path() const { return folder.path(); }
};

NoiseData::NoiseData(bool leaky) {
  Random random(5);
  std::string manifest = "file,label,mask,mm_per_pixel,plane\n";
  for (int i = 0; i < 60; ++i) {
    const bool rare = i % 3 == 0;
    Image image(24, 24, 1), mask(24, 24, 1);
    const int base = leaky && rare ? 120 : 20;
    for (uint8_t& v : image.pixels) v = static_cast<uint8_t>(base + static_cast<int>(random.below(100)));
    for (int64_t r = 0; r <= i / 6; ++r) std::fill_n(mask.row(r), i / 6 + 1, uint8_t{255});
    write_picture(folder, concat("images/", i, ".png"), image);
    write_picture(folder, concat("masks/", i, ".png"), mask);
    manifest += concat("images/", i, ".png,", rare ? "rare" : "usual", ",masks/", i, ".png,2,",
                       leaky ? (rare ? "sa" : "ax") : (i / 3 % 2 ? "sa" : "ax"), "\n");
  }
  folder.write("manifest.csv", manifest);
}

nlohmann::json json_of(const std::string& file) { return nlohmann::json::parse(read_text_file(file, 1 << 22)); }

nlohmann::json table_of(const nlohmann::json& report, const std::string& column) {
  for (const auto& t : report["shortcuts"]["tables"])
    if (t["column"] == column) return t;
  return nullptr;
}

}  // namespace

TEST_CASE("prepare warns of a column and of simple statistics that give the class away", "[apps][prepare]") {
  const NoiseData data(true);
  const TemporaryFolder out;
  const ProgramRun run = run_program("dura-prepare", {data.path(), "--report", out / "report", "--test", "0.3", "--val", "0.2"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("warning: column plane gives the class away") && Contains("balanced accuracy is 1.000"));
  const auto report = json_of(out / "report/prepare.json"), control = json_of(out / "report/control.json");
  CHECK(report["format"] == "dura prepare 1");
  CHECK(table_of(report, "plane")["gives_class_away"] == true);
  CHECK(report["control"] == control);
  CHECK(control["rare_class"] == "rare");
  for (const auto& score : control["scores"]) CHECK(score["balanced_accuracy"].get<double>() > 0.95);
  for (const char* plot : {"classes.svg", "extents.svg", "levels.svg", "lesion_diameter.svg", "lesion_area.svg"})
    CHECK_THAT(read_text_file(out / (std::string("report/") + plot), 1 << 20), Contains("<svg") && Contains("usual"));
}

TEST_CASE("prepare does not warn where nothing gives the class away", "[apps][prepare]") {
  const NoiseData data(false);
  const TemporaryFolder out;
  const ProgramRun run = run_program("dura-prepare", {data.path(), "--json", out / "prepare.json"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, !Contains("gives the class away"));
  const auto report = json_of(out / "prepare.json");
  CHECK(table_of(report, "plane")["gives_class_away"] == false);
  CHECK(table_of(report, "plane")["balanced_accuracy"]["train"].get<double>() < 0.75);
  CHECK(table_of(report, "(file type)").is_null());  // all are alike
}

TEST_CASE("prepare shows classes as they are and as training sees them", "[apps][prepare]") {
  const NoiseData data(false);
  const TemporaryFolder out;
  const auto shares = [&](const std::vector<std::string>& more, const std::string& name) {
    const ProgramRun run = run_program("dura-prepare", joined({data.path(), "--json", out / "prepare.json"}, more));
    INFO(run.output);
    REQUIRE(run.code == 0);
    const auto report = json_of(out / "prepare.json");
    for (const auto& b : report["class_balance"])
      if (b["name"] == name) return b["shares"].get<std::vector<double>>();
    return std::vector<double>();
  };
  CHECK(shares({}, "train").at(0) == Approx(1.0 / 3).margin(0.03));
  CHECK(shares({}, "train, equal class weights").at(0) == Approx(0.5));
  CHECK(shares({}, "test, balanced").at(0) == Approx(0.5));
  const double plain = shares({}, "train").at(0);
  CHECK(shares({"--class-weight", "rare=4"}, "train, class weights").at(0) == Approx(4 * plain / (4 * plain + 1 - plain)));
  CHECK(run_program("dura-prepare", {data.path(), "--class-weight", "blue=4"}).code == 2);
}

TEST_CASE("prepare balances lesion sizes over the splits, measured on the masks", "[apps][prepare]") {
  const NoiseData data(false);
  const TemporaryFolder out;
  const ProgramRun run = run_program("dura-prepare", {data.path(), "--balance", "plane", "lesion_mm", "--test", "0.25", "--val", "0",
                                                      "--out", out / "m.csv", "--json", out / "p.json"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("largest deviation of lesion_mm") && Contains("largest deviation of plane"));
  const auto report = json_of(out / "p.json");
  CHECK(report["split"]["column_deviations"]["lesion_mm"].get<double>() <= 1.5);
  CHECK(report["split"]["strata"].size() == 2 + 2 * 2 + 2 * 4);  // classes, planes, quartiles
  const Manifest manifest = read_manifest(out / "m.csv");
  // The last lesion is a square of 10 x 10 pixels of 2 mm.
  CHECK(std::stod(manifest.value(manifest.rows[59], "lesion_mm")) == Approx(2 * std::sqrt(400 / 3.14159265)).margin(0.006));
  CHECK(report["classes"][1]["lesion_extent_mm"]["max"].get<double>() == Approx((9 * std::sqrt(2.0) + 1) * 2));
  CHECK(report["classes"][1]["lesion_mm2"]["max"] == 400);

  const TextureData without_masks;
  const ProgramRun refused = run_program("dura-prepare", {without_masks.path(), "--split", "new", "--balance", "lesion_mm"});
  CHECK(refused.code == 1);
  CHECK_THAT(refused.output, Contains("needs masks and mm_per_pixel"));
}
