// The programs with --device cuda-sim (or cuda, see cuda_under_test.h) against the same programs on the CPU: evaluation, prediction, heat
// maps, training with cached features, and the whole job on synthetic slices in f16.
#include "tests/support/catch.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/cuda_under_test.h"
#include "tests/support/program_output.h"
#include "tests/support/texture_data.h"
#include "weights/safetensors.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

const std::string cuda_device = device_name(cuda_under_test());
const std::vector<std::string> devices = {"cpu", cuda_device};

// Columns that hold the same numbers on both devices, up to `margin`.
void expect_close(const CsvTable& found, const CsvTable& expected, const std::vector<std::string>& columns, double margin) {
  REQUIRE(found.rows.size() == expected.rows.size());
  REQUIRE(!found.rows.empty());
  for (size_t i = 0; i < found.rows.size(); ++i)
    for (const std::string& column : columns) {
      CAPTURE(i, column);
      CHECK(std::stod(cell(found, i, column)) == Approx(std::stod(cell(expected, i, column))).margin(margin));
    }
}

// Largest difference of two files of maps over the largest value.
double difference_of_maps(const std::string& a, const std::string& b) {
  const StateDict first = read_safetensors(a), second = read_safetensors(b);
  REQUIRE(first.size() == second.size());
  double worst = 0, largest = 0;
  for (const auto& [name, expected] : second.entries()) {
    const Array& found = first.at(name);
    REQUIRE(found.dimensions() == expected.dimensions());
    for (int64_t i = 0; i < expected.numel(); ++i) {
      worst = std::max(worst, std::abs(found.value(i) - expected.value(i)));
      largest = std::max(largest, std::abs(expected.value(i)));
    }
  }
  REQUIRE(largest > 0);
  return worst / largest;
}

}  // namespace

TEST_CASE("evaluation and prediction on the simulated CUDA device are those of the CPU", "[apps][cuda-sim]") {
  const TextureData data({.train = 0, .val = 0, .test = 5});
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  std::vector<CsvTable> evaluated, predicted;
  for (const std::string& device : devices) {
    // Batches of 3, so that the last one is padded.
    must_run("dura-evaluate", {"--device", device, "--model", model, "--data", data.path(), "--batch", "3", "--out", out / device});
    evaluated.push_back(table_of(out / device + "/predictions_test.csv"));
    CHECK(nlohmann::json::parse(read_text_file(out / device + "/evaluation_test.json", 1 << 22))["device"] == device);
    const ProgramRun answer =
        must_run("dura-predict", {"--device", device, "--model", model, data.path() + "/p0.png", data.path() + "/p4.png"});
    predicted.push_back(parse_csv(answer.output, device));
  }
  expect_close(evaluated[1], evaluated[0], {"p_rare", "p_usual"}, 2e-6);
  expect_close(predicted[1], predicted[0], {"p_rare", "p_usual"}, 2e-6);
}

TEST_CASE("the heat maps of dura-gradcam on the simulated CUDA device are those of the CPU", "[apps][cuda-sim][gradcam]") {
  const TextureData data({.train = 0, .val = 0, .test = 3});
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  for (const std::string& device : devices)
    must_run("dura-gradcam", {"--device", device, "--model", model, "--data", data.path(), "--out", out / device, "--stage", "layer2",
                              "--pictures", "1", "--random-networks", "0"});
  CHECK(difference_of_maps(out / (cuda_device + "/maps.safetensors"), out / "cpu/maps.safetensors") < 1e-4);
}

TEST_CASE("training with cached features on the simulated CUDA device follows the CPU's", "[apps][cuda-sim][train]") {
  const TextureData data({.train = 12, .val = 4, .test = 0});
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  std::vector<CsvTable> histories;
  using Strings = std::vector<std::string>;
  for (const Strings& form : {Strings{"cpu", "64"}, Strings{cuda_device, "64"}, Strings{cuda_device, "0"}}) {
    const std::string run = out / (form[0] + form[1]);
    must_run("dura-train", {"--device",        form[0], "--data",           data.path(), "--out",   run, "--weights",       weights,
                            "--depth",         "18",    "--size",           "32",        "--batch", "4", "--phase1-epochs", "2",
                            "--phase2-epochs", "0",     "--feature-budget", form[1]});
    histories.push_back(table_of(run + "/history.csv"));
  }
  const std::vector<std::string> losses = {"train_loss", "val_loss", "val_loss_weighted"};
  for (size_t i = 1; i < histories.size(); ++i) expect_close(histories[i], histories[0], losses, 2e-5);
}

TEST_CASE("pictures that the device augments, whether it keeps them or not, train as those of the host", "[apps][cuda-sim][train]") {
  const TextureData data({.train = 12, .val = 4, .test = 0});
  const TemporaryFolder out;
  const std::string weights = write_initial_model(out / "weights.safetensors");
  using Strings = std::vector<std::string>;
  std::map<std::string, std::string> said;
  for (const auto& [name, options] : {std::pair{"host", Strings{"--augment-on", "host"}},
                                      {"kept", Strings{}},
                                      {"sent", Strings{"--device-pictures", "0", "--lanes", "2"}},
                                      {"lanes", Strings{"--augment-on", "host", "--lanes", "2"}}})
    said[name] =
        must_run("dura-train", joined({"--device",         cuda_device, "--data",          data.path(), "--out",           out / name,
                                       "--weights",        weights,     "--depth",         "18",        "--size",          "32",
                                       "--batch",          "4",         "--phase1-epochs", "2",         "--phase2-epochs", "0",
                                       "--feature-budget", "0",         "--augment",       "strong"},
                                      options))
            .output;
  CHECK_THAT(said["kept"], Contains("augments pictures and keeps 12 of 12"));
  CHECK_THAT(said["sent"], Contains("augments pictures and keeps 0 of 12"));
  for (const char* name : {"host", "lanes"}) CHECK_THAT(said[name], !Contains("augments pictures"));
  const auto model = [&](const char* name) { return read_text_file(out / (std::string(name) + "/model.safetensors"), size_t{1} << 30); };
  CHECK((model("kept") == model("host")));
  CHECK((model("sent") == model("lanes")));
}

TEST_CASE("the whole job on synthetic slices runs on the simulated CUDA device in f16, and ends with the same bytes each time",
          "[apps][cuda-sim][train][slow]") {
  const TemporaryFolder out;
  const std::string data = out / "data", weights = write_initial_model(out / "weights.safetensors");
  must_run("dura-phantom",
           {"--out", data, "--patients", "24", "--slices", "1", "--menin-share", "0.5", "--size", "64", "--val", "0.25", "--test", "0.25"});
  const std::vector<std::string> classes = {"--classes", "Menin=meningioma", "Glioma"};
  const auto train = [&](const std::string& device, const std::string& precision, const std::string& name) {
    const std::string run = out / name;
    must_run("dura-train",
             joined({"--device",        device,    "--precision",     precision, "--data",      data,   "--out",      run,
                     "--weights",       weights,   "--depth",         "18",      "--size",      "32",   "--batch",    "4",
                     "--phase1-epochs", "2",       "--phase2-epochs", "2",       "--phase2-lr", "1e-4", "--unfreeze", "layer4+",
                     "--augment",       "mission", "--class-weight",  "Menin=4", "Glioma=1"},
                    classes));
    // A hundred megabytes each, of no use here.
    for (const char* checkpoint : {"best_phase1", "best_phase2", "last"})
      std::filesystem::remove(concat(run, "/", checkpoint, ".safetensors"));
    return table_of(run + "/history.csv");
  };
  for (const char* precision : {"f32", "f16"}) {
    CAPTURE(precision);
    const std::string name = precision;
    const CsvTable cpu = train("cpu", name, "cpu_" + name), simulated = train(cuda_device, name, name);
    CHECK(simulated.rows.size() == 4);
    expect_close(simulated, cpu, {"train_loss", "val_loss"}, name == "f32" ? 1e-3 : 0.1);
    CHECK(std::stod(cell(simulated, 3, "loss_scale")) == (name == "f32" ? 1 : std::stod(cell(cpu, 3, "loss_scale"))));
  }
  train(cuda_device, "f16", "again");
  const std::string model = out / "f16/model.safetensors";
  CHECK(read_text_file(model, 1 << 28) == read_text_file(out / "again/model.safetensors", 1 << 28));

  for (const std::string& device : devices) {
    const std::vector<std::string> common = {"--device", device, "--model", model, "--data", data};
    must_run("dura-evaluate", joined(joined(common, {"--balanced", "--out", out / ("scores_" + device)}), classes));
    must_run("dura-gradcam", joined(joined(common, {"--out", out / ("maps_" + device), "--random-networks", "1"}), classes));
  }
  expect_close(table_of(out / ("scores_" + cuda_device + "/predictions_test.csv")), table_of(out / "scores_cpu/predictions_test.csv"),
               {"p_Menin", "p_Glioma"}, 0.02);
  const auto scores = nlohmann::json::parse(read_text_file(out / ("maps_" + cuda_device + "/heat_maps.json"), 1 << 22));
  CHECK(scores["maps"] == 6);
  const CsvTable answer = parse_csv(
      must_run("dura-predict", {"--device", cuda_device, "--model", model, data + "/" + cell(table_of(data + "/manifest.csv"), 0, "file")})
          .output,
      "predict");
  REQUIRE(answer.rows.size() == 1);
  CHECK(std::stod(cell(answer, 0, "p_Menin")) + std::stod(cell(answer, 0, "p_Glioma")) == Approx(1).margin(1e-5));
  must_run("dura-report", {"--run", out / "f16"});
}
