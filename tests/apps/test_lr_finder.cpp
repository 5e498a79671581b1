// The sweep over learning rates: what it suggests, that it leaves the model alone, and what the program writes.
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/study/lr_finder.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"
#include "weights/load.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// Ten steps from 1e-6 to 1000 with these smoothed losses.
LrSweep sweep_of(const std::vector<double>& losses) {
  LrSweep s;
  for (size_t i = 0; i < losses.size(); ++i) s.rates.push_back(std::pow(10.0, static_cast<double>(i) - 6));
  s.losses = s.smoothed = losses;
  return s;
}

}  // namespace

TEST_CASE("the suggestion is a tenth of the rate with the lowest loss, and there is none where the loss never falls", "[training]") {
  const LrSweep s = sweep_of({1, 1, 0.9, 0.6, 0.4, 0.7, std::nan("")});
  CHECK(s.lowest() == 4);
  CHECK(s.suggestion() == Approx(1e-3));
  CHECK(std::isnan(sweep_of({1, 0.99, 1, 1.2}).suggestion()));
  CHECK(std::isnan(sweep_of({}).suggestion()));
  CHECK(sweep_of({std::nan("")}).lowest() == -1);
}

TEST_CASE("a sweep grows the rate in equal ratios, sees the loss break, and gives the model back bit for bit", "[training]") {
  const TextureData data;
  const Manifest manifest = read_manifest(data.manifest());
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < 24; ++i) rows.push_back(i);
  const ClassNames classes({"rare", "usual"});
  const Dataset train(manifest, rows, classes, PreprocessingOptions{.size = 32}.steps(), {.folder = data.path()});
  Classifier model({.backbone = {.depth = 18}, .classes = classes.names(), .seed = 3});
  std::vector<std::string> fresh;
  for (const ConvBn* u : model.backbone().units()) fresh.push_back(u->conv.name());
  const StateDict before = state_of(model);
  PhasePlan plan;
  plan.name = "phase1";
  plan.fresh_batch_statistics = true;
  const StopRequest stop;
  const LrSweep s = sweep_learning_rates(
      model, plan, fresh, train, {.run = {}, .phases = {}, .batch = 8, .step = {}, .loss = {}, .adam = {}, .scaler = {}, .augment = {}},
      {.lowest = 1e-6, .highest = 1e2, .steps = 40}, stop);
  REQUIRE(s.rates.size() > 10);
  CHECK(s.rates.front() == Approx(1e-6));
  for (size_t i = 1; i < s.rates.size(); ++i) CHECK(s.rates[i] / s.rates[i - 1] == Approx(std::pow(1e8, 1.0 / 39)));
  CHECK(s.diverged);
  CHECK(s.rates.back() < 1e2);
  const StateDict after = state_of(model);
  for (const StateDict::Entry& e : before.entries()) CHECK(std::ranges::equal(after.at(e.name).bytes(), e.array.bytes()));
}

TEST_CASE("dura-train --find-lr writes table, summary and page, and no run", "[apps][train]") {
  const TextureData data;
  const TemporaryFolder out;
  const ProgramRun run = run_program(
      "dura-train", {"--data", data.path(), "--out", out / "run", "--depth", "18", "--size", "32", "--batch", "8", "--find-lr", "phase1"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  const auto json = nlohmann::json::parse(read_text_file(out / "run/lr_finder.json", 1 << 20));
  const CsvTable table = parse_csv(read_text_file(out / "run/lr_finder.csv", 1 << 20), "lr_finder.csv");
  CHECK(table.header == std::vector<std::string>{"step", "learning_rate", "loss", "smoothed_loss"});
  CHECK(table.rows.size() == json["steps"].get<size_t>());
  CHECK(json["phase"] == "phase1");
  CHECK_THAT(run.output, Contains("uggest"));
  CHECK_THAT(read_text_file(out / "run/lr_finder.html", 1 << 20), Contains("<svg") && Contains("Learning rates of phase1"));
  for (const char* file : {"model.safetensors", "last.safetensors", "run.json", "config.toml"})
    CHECK(!std::filesystem::exists(out / "run/" + file));
}
