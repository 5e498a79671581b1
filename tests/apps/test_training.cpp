// The programs from training to heat maps, from outside: what they write agrees, and weights of classes go where they belong.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/program_output.h"
#include "tests/support/texture_data.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// Mean of weight * -log p(label) over a predictions file.
double weighted_loss(const CsvTable& predictions, const std::map<std::string, double>& weights) {
  double sum = 0;
  for (size_t i = 0; i < predictions.rows.size(); ++i) {
    const std::string label = cell(predictions, i, "label");
    sum -= weights.at(label) * std::log(std::stod(cell(predictions, i, "p_" + label)));
  }
  return sum / static_cast<double>(predictions.rows.size());
}

}  // namespace

TEST_CASE("class weights reach the right class, whatever the order of classes, in training and validation", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  for (const std::vector<std::string>& classes : {std::vector<std::string>{"rare", "usual"}, {"usual", "rare"}}) {
    CAPTURE(classes);
    const std::string run = out / ("run_" + classes[0]);
    // A learning rate of 0 and no dropout: the loss of training is that of the untrained model, which evaluation gives picture by picture.
    must_run("dura-train",
             joined({"--data",          data.path(), "--out",     run, "--weights",       weights,  "--depth",     "18",
                     "--size",          "32",        "--batch",   "4", "--phase1-epochs", "1",      "--phase1-lr", "0",
                     "--phase2-epochs", "0",         "--dropout", "0", "--class-weight",  "rare=5", "usual=0.5",   "--classes"},
                    classes));
    const CsvTable history = table_of(run + "/history.csv");
    REQUIRE(history.rows.size() == 1);
    for (const char* split : {"train", "val"}) {
      CAPTURE(split);
      must_run("dura-evaluate", {"--data", data.path(), "--model", run + "/model.safetensors", "--split", split, "--out", run});
      const CsvTable predictions = table_of(run + concat("/predictions_", split, ".csv"));
      CHECK(std::stod(cell(history, 0, concat(split, "_loss_weighted"))) ==
            Approx(weighted_loss(predictions, {{"rare", 5}, {"usual", 0.5}})).epsilon(1e-5));
      CHECK(std::stod(cell(history, 0, concat(split, "_loss"))) ==
            Approx(weighted_loss(predictions, {{"rare", 1}, {"usual", 1}})).epsilon(1e-5));
    }
  }
}

TEST_CASE("class weights by name, automatic and none, divided by the batch or by their sum", "[apps][train]") {
  const TextureData data;  // 8 rare and 16 usual training images
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  const auto history = [&](const std::string& name, const std::vector<std::string>& more) {
    must_run("dura-train", joined({"--data",          data.path(), "--out",     out / name, "--weights",       weights, "--depth",     "18",
                                   "--size",          "32",        "--batch",   "24",       "--phase1-epochs", "1",     "--phase1-lr", "0",
                                   "--phase2-epochs", "0",         "--dropout", "0"},
                                  more));
    return table_of(out / name + "/history.csv");
  };
  const auto weighted = [&](const CsvTable& t) { return std::stod(cell(t, 0, "train_loss_weighted")); };
  const CsvTable none = history("none", {"--class-weight", "none"});
  CHECK(weighted(none) == Approx(std::stod(cell(none, 0, "train_loss"))).epsilon(1e-6));
  const double automatic = weighted(history("auto", {"--class-weight", "auto"}));
  CHECK(automatic == Approx(weighted(history("named", {"--class-weight", "rare=1.5", "usual=0.75"}))).epsilon(1e-6));
  CHECK(automatic != Approx(weighted(none)).epsilon(1e-4));
  // 8 * 3 + 16 * 1.5 = 48 over 24 images: dividing by the sum of weights gives half of dividing by the batch.
  const std::vector<std::string> doubled = {"--class-weight", "rare=3", "usual=1.5", "--class-weight-norm"};
  CHECK(weighted(history("batch", joined(doubled, {"batch"}))) == Approx(2 * automatic).epsilon(1e-6));
  CHECK(weighted(history("sum", joined(doubled, {"weights"}))) == Approx(automatic).epsilon(1e-6));
  // Smoothing is part of what is minimised, not of the loss that is told to compare with validation.
  const CsvTable smoothed = history("smoothed", {"--class-weight", "none", "--label-smoothing", "0.2"});
  CHECK(std::stod(cell(smoothed, 0, "train_loss")) == Approx(weighted(none)).epsilon(1e-6));
  CHECK(weighted(smoothed) != Approx(weighted(none)).epsilon(1e-4));
}

TEST_CASE("a phase ends with the weights of its best epoch, or of its last where that is asked for", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  // Steps too small to change a decision: accuracy is that of the first epoch, which stays the best, while weights do change.
  for (const char* restore : {"best", "last"}) {
    CAPTURE(restore);
    const std::string run = out / restore;
    must_run(
        "dura-train",
        {"--data",    data.path(), "--out",           run, "--weights",   weights, "--depth",         "18", "--size",    "32",
         "--batch",   "8",         "--phase1-epochs", "3", "--phase1-lr", "1e-6",  "--phase2-epochs", "0",  "--monitor", "val_accuracy",
         "--restore", restore});
    const StateDict model = read_safetensors(run + "/model.safetensors"), best = read_safetensors(run + "/best_phase1.safetensors"),
                    last = read_safetensors(run + "/last.safetensors");
    const auto equal = [&](const StateDict& other, const std::string& prefix) {
      return std::ranges::equal(model.at("fc.weight").bytes(), other.at(prefix + "fc.weight").bytes());
    };
    CHECK(equal(best, "") == (std::string(restore) == "best"));
    CHECK(equal(last, "model.") == (std::string(restore) == "last"));
  }
}

TEST_CASE("train, evaluate, predict and gradcam agree with each other", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string run = out / "run", model = run + "/model.safetensors";
  must_run("dura-train", {"--data", data.path(), "--out", run, "--depth", "18", "--size", "32", "--batch", "8", "--phase1-epochs", "3",
                          "--phase2-epochs", "1", "--unfreeze", "layer4", "--class-weight", "rare=2"});
  for (const char* file :
       {"config.toml", "run.json", "history.csv", "last.safetensors", "best_phase1.safetensors", "best_phase2.safetensors"})
    CHECK(std::filesystem::exists(run + "/" + file));
  CHECK(nlohmann::json::parse(read_text_file(run + "/run.json", 1 << 20)).contains("manifest_sha256"));
  const CsvTable history = table_of(run + "/history.csv");
  REQUIRE(history.rows.size() == 4);
  CHECK(std::stod(cell(history, 2, "train_loss")) < std::stod(cell(history, 0, "train_loss")));
  CHECK(std::stod(cell(history, 3, "peak_memory_mib")) > 10);

  // Evaluation: the files of the manifest in their order, and scores of these very predictions.
  must_run("dura-evaluate", {"--data", data.path(), "--model", model, "--out", run, "--balanced", "--batch", "3"});
  const CsvTable predictions = table_of(run + "/predictions_test.csv");
  REQUIRE(predictions.rows.size() == 8);
  int64_t right = 0;
  std::vector<std::string> files;
  for (size_t i = 0; i < 8; ++i) {
    files.push_back(cell(predictions, i, "file"));
    CHECK(files.back() == concat("p", 32 + i, ".png"));
    CHECK(cell(predictions, i, "label") == ((32 + i) % 3 == 0 ? "rare" : "usual"));
    CHECK(cell(predictions, i, "patient") == concat("P", 32 + i));
    const bool same = cell(predictions, i, "label") == cell(predictions, i, "predicted");
    CHECK(cell(predictions, i, "correct") == (same ? "1" : "0"));
    right += same;
  }
  const auto json = nlohmann::json::parse(read_text_file(run + "/evaluation_test.json", 1 << 20));
  const auto& results = json["results"];
  REQUIRE(results.size() == 2);
  CHECK(results[0]["accuracy"]["value"].get<double>() == Approx(static_cast<double>(right) / 8));
  CHECK(results[0]["pictures"] == 8);
  CHECK(results[0]["title"] == "untouched");
  CHECK(results[1]["title"] == "rare class augmented");
  CHECK(results[1]["classes"][0]["pictures"] == results[1]["classes"][1]["pictures"]);
  must_run("dura-report", {"--run", run});
  CHECK_THAT(read_text_file(run + "/report.html", 1 << 22), Contains("<svg") && Contains("untouched") && Contains("rare class augmented"));

  // Prediction, one file at a time.
  std::vector<std::string> arguments = {"--device", "cpu", "--model", model};  // auto may log why it takes the CPU
  for (const std::string& file : files) arguments.push_back(data.path() + "/" + file);
  const CsvTable single = parse_csv(must_run("dura-predict", arguments).output, "predict");
  CHECK(single.header == std::vector<std::string>{"file", "class", "probability", "p_rare", "p_usual"});
  REQUIRE(single.rows.size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    CHECK(cell(single, i, "file") == data.path() + "/" + files[i]);
    CHECK(cell(single, i, "class") == cell(predictions, i, "predicted"));
    for (const char* p : {"p_rare", "p_usual"})
      CHECK(std::stod(cell(single, i, p)) == Approx(std::stod(cell(predictions, i, p))).margin(2e-6));
    CHECK(cell(single, i, "probability") == cell(single, i, "p_" + cell(single, i, "class")));
  }

  // Heat maps of the split: a raw map for every picture, overlays for some.
  const std::string maps = out / "maps";
  const ProgramRun gradcam =
      must_run("dura-gradcam", {"--model", model, "--data", data.path(), "--out", maps, "--pictures", "3", "--stage", "layer2"});
  CHECK_THAT(gradcam.output, Contains("3 overlays") && Contains("8 maps"));
  const StateDict raw = read_safetensors(maps + "/maps.safetensors");
  CHECK(raw.size() == 8);
  for (const std::string& file : files) CHECK(raw.at(file).dimensions() == Dimensions{4, 4});
  CHECK(std::filesystem::exists(maps + "/sheet.png"));
  CHECK_THAT(read_text_file(maps + "/index.html", 1 << 24), Contains("Not a medical device") && Contains("8 maps"));
}

TEST_CASE("predict quotes file names that need it, and goes on after a bad picture", "[apps][predict]") {
  const TemporaryFolder out;
  write_picture(out, "a, b.png", texture(1, true, 33, 37));
  out.write("bad.png", "no picture");
  const std::string model = write_initial_model(out / "model.safetensors");
  const CsvTable one = parse_csv(must_run("dura-predict", {"--device", "cpu", "--model", model, out / "a, b.png"}).output, "predict");
  REQUIRE(one.rows.size() == 1);
  CHECK(one.rows[0].fields[0] == (out / "a, b.png"));
  const ProgramRun mixed = run_program("dura-predict", {"--model", model, out / "bad.png", out / "missing.png", out / "a, b.png"});
  CHECK(mixed.code == 1);
  CHECK_THAT(mixed.output,
             Contains("bad.png") && Contains("missing.png") && Contains("a, b.png") && Contains("2 of 3 pictures could not be read"));
}
