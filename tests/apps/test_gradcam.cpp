// dura-gradcam from outside: scores against masks, pictures that are not square, and masks that cannot be used.
#include "tests/support/catch.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/base/file.h"
#include "tests/support/program_output.h"
#include "tests/support/texture_data.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// Six pictures of the test split with masks in the manifest; the extents are TextureData's.
struct MaskedData {
  TextureData data{{.train = 0, .val = 0, .test = 6}};

  // Masks for the first `masks` pictures, 12x12 pixels of lesion in each.
  explicit MaskedData(int64_t masks, const std::string& extra_column = "", const std::string& extra_value = "") {
    std::string manifest = "file,label,split,mask" + (extra_column.empty() ? "" : "," + extra_column) + "\n";
    for (int64_t i = 0; i < 6; ++i) {
      Image mask(32 + i % 9, 32 + i % 7, 1);
      for (int64_t r = 4; r < 16; ++r) std::fill_n(mask.row(r) + 4, 12, uint8_t{255});
      if (i < masks) write_picture(data.folder, concat("m", i, ".png"), mask);
      manifest += concat("p", i, ".png,", i % 3 ? "usual" : "rare", ",test,", i < masks ? concat("m", i, ".png") : "",
                         extra_column.empty() ? "" : "," + extra_value, "\n");
    }
    data.folder.write("manifest.csv", manifest);
  }
  std::vector<std::string> arguments(const std::string& model, const std::string& maps, const std::vector<std::string>& more = {},
                                     const char* random_networks = "1") const {
    return joined({"--model", model, "--data", data.path(), "--out", maps, "--random-networks", random_networks}, more);
  }
};

nlohmann::json scores_of(const std::string& maps) { return nlohmann::json::parse(read_text_file(maps + "/heat_maps.json", 1 << 22)); }

}  // namespace

TEST_CASE("gradcam scores its maps where the manifest has masks", "[apps][gradcam]") {
  const MaskedData masked(5);
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors"), maps = out / "maps";
  const ProgramRun run =
      must_run("dura-gradcam",
               masked.arguments(model, maps,
                                {"--explain", "usual", "--method", "hirescam", "--stage", "layer2", "--sanity", "2", "--deletion", "2"}));
  CHECK_THAT(run.output, Contains("(hirescam at layer2, tolerance 0 px) on 5 pictures with a lesion") && Contains("random weights"));
  CHECK_THAT(read_text_file(maps + "/index.html", 1 << 24), Contains("on 5 pictures with a lesion") && Contains("brightest point"));
  const nlohmann::json json = scores_of(maps);
  CHECK(json["maps"] == 6);
  CHECK(json["explain"] == "usual");
  CHECK(json["random_networks"] == 1);
  CHECK(json["groups"][0]["pictures"] == 5);
  CHECK(json["sanity"].size() == 7);
  CHECK(json["sanity"][0]["rank_correlation"].get<double>() == Approx(1));
  CHECK(json["sanity"][6]["randomised"] == "stem");
  CHECK(json["deletion"]["pictures"] == 2);
  CHECK(json["deletion"]["insertion"]["probability"].size() == 21);
  CHECK(json["groups"][1]["group"] == "rare");
  CHECK(json["groups"][1]["pictures"] == 2);
  CHECK_THAT(read_text_file(maps + "/heat_maps.csv", 1 << 20), Contains("p0.png,rare,") && !Contains("p5.png"));
}

TEST_CASE("networks with random weights that nobody asked for have no scores", "[apps][gradcam]") {
  const MaskedData masked(5);
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors"), maps = out / "maps";
  const ProgramRun run = must_run("dura-gradcam", masked.arguments(model, maps, {}, "0"));
  CHECK_THAT(run.output, Contains("brightest point") && !Contains("random weights"));
  CHECK_THAT(read_text_file(maps + "/index.html", 1 << 24), Contains("brightest point") && !Contains("random weights"));
  const nlohmann::json scores = scores_of(maps)["groups"][0]["scores"];
  CHECK(scores["random_weights"]["pointing"].is_null());
  CHECK(scores["brightest"]["pointing"].is_number());
  const CsvTable table = table_of(maps + "/heat_maps.csv");
  CHECK(cell(table, 0, "random_weights_energy").empty());
  CHECK(!cell(table, 0, "network_energy").empty());
}

TEST_CASE("without masks gradcam's tables of scores are there and empty", "[apps][gradcam]") {
  const MaskedData masked(0);
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors"), maps = out / "maps";
  must_run("dura-gradcam", masked.arguments(model, maps));
  CHECK(scores_of(maps)["maps"] == 6);
  CHECK(scores_of(maps)["groups"].empty());
  const std::string csv = read_text_file(maps + "/heat_maps.csv", 1 << 20);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1);
}

TEST_CASE("gradcam's methods, limit and tolerance reach its scores", "[apps][gradcam]") {
  const MaskedData masked(6, "mm_per_pixel", "2");
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  std::vector<std::string> raw;
  for (const char* method : {"gradcam", "gradcam++", "layercam"}) {
    const std::string maps = out / method;
    must_run("dura-gradcam",
             masked.arguments(model, maps, {"--method", method, "--stage", "layer3", "--limit", "3", "--tolerance", "200mm"}));
    const nlohmann::json json = scores_of(maps);
    CHECK(json["method"] == method);
    CHECK(json["maps"] == 3);
    CHECK(json["tolerance"] == "200 mm");
    // Nothing is further away from the lesion than that.
    CHECK(json["groups"][0]["scores"]["random_point"]["pointing"] == 1);
    CHECK(json["groups"][0]["scores"]["network"]["pointing"] == 1);
    CHECK(json["groups"][0]["scores"]["random_point"]["energy"] < 1);
    raw.push_back(read_text_file(maps + "/maps.safetensors", 1 << 20));
  }
  CHECK(raw[0] != raw[1]);
  CHECK(raw[1] != raw[2]);
  for (const std::vector<std::string>& bad :
       {std::vector<std::string>{"--method", "scorecam"}, {"--tolerance", "5"}, {"--stage", "layer9"}})
    CHECK(run_program("dura-gradcam", masked.arguments(model, out / "bad", bad)).code == 2);
}

TEST_CASE("gradcam --enlarge cubic reaches the scores of all maps but the guesses', and the audit's", "[apps][gradcam]") {
  const MaskedData masked(4);
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  const auto table = [&](const std::string& enlarge, const std::string& file) {
    const std::string maps = out / enlarge;
    if (!std::filesystem::exists(maps))
      must_run("dura-gradcam", masked.arguments(model, maps, {"--stage", "layer2", "--enlarge", enlarge, "--audit", "2"}));
    return parse_csv(read_text_file(maps + "/" + file, 1 << 20), file);
  };
  const auto differ = [&](const std::string& file, const std::string& column) {
    const CsvTable linear = table("linear", file), cubic = table("cubic", file);
    const auto at = static_cast<size_t>(std::find(linear.header.begin(), linear.header.end(), column) - linear.header.begin());
    REQUIRE(at < linear.header.size());
    int64_t count = 0;
    for (size_t row = 0; row < linear.rows.size(); ++row) count += linear.rows[row].fields[at] != cubic.rows[row].fields[at];
    return count;
  };
  CHECK(differ("heat_maps.csv", "network_energy") == 4);
  CHECK(differ("heat_maps.csv", "random_weights_energy") > 0);  // a map without evidence has none
  CHECK(differ("heat_maps.csv", "best_cell_energy") == 4);
  CHECK(differ("heat_maps.csv", "brain_centre_energy") == 0);
  CHECK(differ("heat_maps.csv", "brightest_energy") == 0);
  CHECK(differ("lesion_audit.csv", "hirescam_layer3_energy") == 2);
  CHECK(differ("lesion_audit.csv", "lesion_share") == 0);
}

TEST_CASE("several models have one heat map: the mean of theirs, of the class that they decide for together", "[apps][gradcam]") {
  const MaskedData masked(6);
  const TemporaryFolder out;
  std::vector<std::string> models;
  for (const uint64_t seed : {5, 6, 8})
    models.push_back(write_initial_model(out / concat("model", seed, ".safetensors"), {"rare", "usual"}, seed));
  const auto with = [&](const std::vector<std::string>& more, const std::vector<std::string>& others) {
    std::vector<std::string> all = joined({"--stage", "layer2", "--enlarge", "cubic"}, more);
    for (const std::string& model : others) all.insert(all.end(), {"--model", model});
    return all;
  };
  struct Maps {
    StateDict raw;
    CsvTable answers;
  };
  const auto maps_of = [&](const std::string& explain, const std::vector<std::string>& chosen) {
    const std::string folder = out / "maps";
    const std::vector<std::string> others(chosen.begin() + 1, chosen.end());
    must_run("dura-gradcam", masked.arguments(chosen[0], folder, with({"--explain", explain}, others), "0"));
    CHECK(scores_of(folder)["enlarge"] == "cubic");
    return Maps{read_safetensors(folder + "/maps.safetensors"), parse_csv(read_text_file(folder + "/heat_maps.csv", 1 << 20), "maps")};
  };
  const auto values_of = [](const Maps& maps, const std::string& file) {
    std::vector<double> values;
    double sum = 0;
    for (int64_t i = 0; i < maps.raw.at(file).numel(); ++i) values.push_back(maps.raw.at(file).value(i)), sum += values.back();
    for (double& v : values) v /= sum > 0 ? sum : 1;
    return values;
  };

  const Maps all = maps_of("predicted", models);
  std::map<std::string, std::vector<Maps>> each;
  for (const std::string explained : {"rare", "usual"})
    for (const std::string& model : models) each[explained].push_back(maps_of(explained, {model}));
  int64_t outvoted = 0;
  REQUIRE(all.answers.rows.size() == 6);
  for (size_t row = 0; row < 6; ++row) {
    const std::vector<std::string>& fields = all.answers.rows[row].fields;
    const std::string &file = fields[0], &decided = fields[2];
    CAPTURE(file);
    CHECK(fields[4] == decided);
    std::vector<double> mean(values_of(all, file).size());
    for (const Maps& one : each.at(decided)) {
      outvoted += one.answers.rows[row].fields[2] != decided;
      const std::vector<double> values = values_of(one, file);
      REQUIRE(values.size() == mean.size());
      for (size_t i = 0; i < mean.size(); ++i) mean[i] += values[i] / 3;
    }
    const std::vector<double> found = values_of(all, file);
    const double sum = std::accumulate(mean.begin(), mean.end(), 0.0);
    REQUIRE(sum > 0);
    for (size_t i = 0; i < mean.size(); ++i) CHECK(found[i] == Approx(mean[i] / sum).margin(1e-6));
  }
  CHECK(outvoted > 0);

  for (const char* check : {"--sanity", "--deletion", "--audit"}) {
    const ProgramRun run = run_program("dura-gradcam", masked.arguments(models[0], out / "no", with({check, "2"}, {models[1]})));
    CHECK(run.code == 2);
    CHECK_THAT(run.output, Contains("ask one network"));
  }
  const ProgramRun twice = run_program("dura-gradcam", masked.arguments(models[0], out / "no", with({}, {models[0]})));
  CHECK(twice.code == 2);
  CHECK_THAT(twice.output, Contains("is given twice"));
}

TEST_CASE("gradcam names masks that cannot be used and scores the other pictures", "[apps][gradcam]") {
  const MaskedData masked(6);
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors"), maps = out / "maps";
  write_picture(masked.data.folder, "m1.png", Image(20, 20, 1, 255));  // another extent than its picture
  std::filesystem::remove(masked.data.folder / "m2.png");
  masked.data.folder.write("m3.png", "no picture");
  write_picture(masked.data.folder, "m4.png", Image(36, 36, 1));  // no lesion
  const ProgramRun run = must_run("dura-gradcam", masked.arguments(model, maps));
  CHECK_THAT(run.output, Contains("p1.png is not scored") && Contains("p2.png is not scored") && Contains("p3.png is not scored"));
  CHECK_THAT(run.output, Contains("on 2 pictures with a lesion"));
  CHECK_THAT(run.output, Contains("6 overlays"));
  const std::string page = read_text_file(maps + "/index.html", 1 << 24);
  CHECK_THAT(page, Contains("mask has another extent"));
  CHECK_FALSE(page.find("p0.png") == std::string::npos);

  // Millimetres without the size of pixels: refused before anything is computed.
  const ProgramRun millimetres = run_program("dura-gradcam", masked.arguments(model, out / "mm", {"--tolerance", "5mm"}));
  CHECK(millimetres.code == 2);
  CHECK_THAT(millimetres.output, Contains("p0.png has none") && Contains("mm_per_pixel"));
}

TEST_CASE("gradcam says plainly when a map has no positive evidence, and shows the picture as it is", "[apps][gradcam]") {
  const TextureData data({.train = 0, .val = 0, .test = 2});
  const TemporaryFolder out;
  Classifier model({.backbone = {.depth = 18}, .classes = {"rare", "usual"}});
  // Features are not negative, so nothing speaks for either class.
  const Tensor against = Tensor::empty(model.head().weight.shape(), DType::f32, Device::cpu);
  std::fill_n(against.data<float>(), against.numel(), -1.0f);
  model.head().weight.assign(against);
  const std::string file = out / "model.safetensors", maps = out / "maps";
  write_model(file, model, {.size = 32});
  const ProgramRun run = must_run("dura-gradcam", {"--model", file, "--out", maps, data.path() + "/p0.png", data.path() + "/p1.png"});
  CHECK_THAT(run.output, Contains("p0.png") && Contains("no positive evidence") && Contains("2 maps, 2 without positive evidence"));
  CHECK_THAT(read_text_file(maps + "/index.html", 1 << 24), Contains("2 without positive evidence"));
  const StateDict raw = read_safetensors(maps + "/maps.safetensors");
  REQUIRE(raw.contains("p0.png"));
  for (int64_t i = 0; i < raw.at("p0.png").numel(); ++i) CHECK(raw.at("p0.png").value(i) == 0);
  CHECK(std::filesystem::exists(maps + "/p0.png.png"));
}

TEST_CASE("gradcam keeps pictures of the same name in different folders apart", "[apps][gradcam]") {
  const TextureData data({.train = 0, .val = 0, .test = 1});
  const TemporaryFolder out;
  for (const char* name : {"a/slice.png", "b/slice.png"}) write_picture(out, name, texture(name[0], name[0] == 'a', 32, 32));
  const std::string model = write_initial_model(out / "model.safetensors"), maps = out / "maps";
  must_run("dura-gradcam", {"--model", model, "--out", maps, out / "a/slice.png", out / "b/slice.png", data.path() + "/p0.png"});
  const StateDict raw = read_safetensors(maps + "/maps.safetensors");
  CHECK(raw.size() == 3);
  CHECK(raw.contains("p0.png"));
  int64_t overlays = 0;
  for (const auto& entry : std::filesystem::directory_iterator(maps))
    overlays += entry.path().string().find("slice.png.png") != std::string::npos;
  CHECK(overlays == 2);
}
