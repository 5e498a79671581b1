// dura-study from outside: a short ladder on a data set that a network learns in seconds.
#include "tests/support/catch.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/study/search.h"
#include "apps/study/study.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/program_output.h"
#include "tests/support/running_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> study_arguments(const TextureData& data, const std::string& out, const char* epochs = "1") {
  return {"--data",          data.path(), "--out",   out, "--depth", "18",         "--size",         "32", "--phase1-epochs", epochs,
          "--phase2-epochs", "0",         "--seeds", "1", "--rows",  "0-baseline", "1-class-weights"};
}

std::set<std::string> run_folders(const std::string& out) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(out))
    if (entry.is_directory()) names.insert(entry.path().filename().string());
  return names;
}

}  // namespace

TEST_CASE("a study's ladder begins without any measure and keeps each measure in the rows below", "[apps][study]") {
  const std::vector<StudyRow> rows = study_ladder({"rare", "usual"}, "rare", Device::cpu);
  REQUIRE(rows.size() == 9);
  CHECK(rows[0].name == "baseline");
  CHECK(rows[0].settings.count("class-weight") == 0);
  CHECK(rows[0].settings.at("dropout") == std::vector<std::string>{"0"});
  for (size_t i = 1; i < rows.size(); ++i) {
    CAPTURE(rows[i].name);
    CHECK(rows[i].settings != rows[i - 1].settings);
    CHECK(rows[i].settings.at("class-weight") == std::vector<std::string>{"rare=4", "usual=1"});
    for (const auto& [option, values] : rows[i - 1].settings) CHECK((rows[i].settings.count(option) == 1 || option == "augment-class"));
  }
  // Restoring the best epoch is half of early stopping: the rows before it go without.
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool stops_early = rows[i].settings.at("patience") != std::vector<std::string>{"0"};
    CHECK(rows[i].settings.at("restore") == std::vector<std::string>{stops_early ? "best" : "last"});
  }
  CHECK(rows[2].settings.at("restore") == std::vector<std::string>{"last"});
  CHECK(rows[3].settings.at("restore") == std::vector<std::string>{"best"});
  CHECK(rows[4].settings.at("augment-class") == std::vector<std::string>{"rare=sharpness_p=0", "usual=sharpness_p=0"});
  CHECK(rows.back().settings.count("augment-class") == 0);  // the last row adds sharpness by no longer taking it out
  CHECK(rows.back().settings.at("precision") == std::vector<std::string>{"bf16"});
  CHECK(study_ladder({"rare", "usual"}, "rare", Device::cuda).back().settings.at("precision") == std::vector<std::string>{"f16"});
  CHECK_THROWS_WITH(study_ladder({"rare", "usual"}, "other", Device::cpu), Contains("rare class 'other'"));
}

TEST_CASE("a row's figure is the median of its runs with their spread", "[apps][study]") {
  std::vector<StudyRun> runs(3);
  runs[0].f1 = 0.9, runs[1].f1 = 0.7, runs[2].f1 = 0.8;
  const StudyFigure f = study_figure(runs, [](const StudyRun& r) { return r.f1; });
  CHECK(f.median == 0.8);
  CHECK(f.low == 0.7);
  CHECK(f.high == 0.9);
  runs.pop_back();
  CHECK(study_figure(runs, [](const StudyRun& r) { return r.f1; }).median == Approx(0.8));
  CHECK(std::isnan(study_figure({}, [](const StudyRun& r) { return r.f1; }).median));
}

TEST_CASE("a study trains its rows, tabulates them, and runs nothing twice", "[apps][study]") {
  const TextureData data({.train = 36});  // more than the baseline's batch of 32
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  const ProgramRun first = run_program("dura-study", study_arguments(data, out));
  INFO(first.output);
  REQUIRE(first.code == 0);
  CHECK(run_folders(out) == std::set<std::string>{"0-baseline-seed0", "1-class-weights-seed0"});
  CHECK_THAT(first.output, Contains("+ class weights"));

  const CsvTable table = table_of(out + "/study.csv");
  REQUIRE(table.rows.size() == 2);
  const nlohmann::json json = nlohmann::json::parse(read_text_file(out + "/study.json", 1 << 22));
  REQUIRE(json["rows"].size() == 2);
  CHECK(json["rows"][0]["runs"].size() == 1);
  CHECK(json["rows"][1]["settings"]["class-weight"] == std::vector<std::string>{"rare=4", "usual=1"});
  // The figure is the run's own: its predictions say the same.
  const std::string run = json["rows"][1]["runs"][0]["run"];
  CHECK(read_study_run(run, 0, "rare").f1 == Approx(json["rows"][1]["runs"][0]["f1"].get<double>()));
  const nlohmann::json evaluation = nlohmann::json::parse(read_text_file(run + "/evaluation_test.json", 1 << 24));
  const nlohmann::json& f1 = evaluation["results"][0]["classes"][0]["f1"];
  CHECK(json["rows"][1]["runs"][0]["f1_interval"] == nlohmann::json{f1["low"], f1["high"]});
  CHECK(json["rows"][1]["runs"][0]["peak_memory_mib"].get<double>() > 1);
  const std::string page = read_text_file(out + "/study.html", 1 << 24);
  CHECK_THAT(page, Contains("class weights") && Contains("<svg"));

  const auto written = fs::last_write_time(fs::path(run) / "model.safetensors");
  const std::string log = read_text_file(fs::path(run) / "log.txt", 1 << 22);
  REQUIRE(run_program("dura-study", study_arguments(data, out)).code == 0);
  CHECK(fs::last_write_time(fs::path(run) / "model.safetensors") == written);
  CHECK(read_text_file(fs::path(run) / "log.txt", 1 << 22) == log);

  SECTION("a run that was damaged is named") {
    fs::remove(fs::path(run) / "history.csv");
    const ProgramRun damaged = run_program("dura-study", study_arguments(data, out));
    CHECK(damaged.code == 1);
    CHECK_THAT(damaged.output, Contains("history.csv"));
  }
}

TEST_CASE("a study that was stopped in the middle of a training goes on where it was", "[apps][study]") {
  const TextureData data({.train = 36});  // more than the baseline's batch of 32
  const TemporaryFolder folder;
  const std::string out = folder / "study", log = folder / "log";
  const std::string training = out + "/0-baseline-seed0", log_of_training = training + "/log.txt";
  const std::vector<std::string> arguments = study_arguments(data, out, "20");
  RunningProgram program("dura-study", arguments, log);
  program.run_until([&] { return text_so_far(log_of_training).find("phase1 epoch 1/20  train loss") != std::string::npos; });
  program.interrupt(SIGTERM);
  CHECK(program.wait() == 128 + SIGTERM);
  CHECK_THAT(read_text_file(log, 1 << 22), Contains("goes on from here"));
  CHECK(!fs::exists(training + "/model.safetensors"));
  const ProgramRun second = run_program("dura-study", arguments);
  INFO(second.output);
  REQUIRE(second.code == 0);
  CHECK_THAT(read_text_file(log_of_training, 1 << 22), Contains("resuming after phase1 epoch "));
  CHECK(table_of(out + "/study.csv").rows.size() == 2);
}

TEST_CASE("a study's runs compute on the device and with the threads that the study was given", "[apps][study][cuda-sim]") {
  const TextureData data({.train = 33, .val = 2, .test = 2});  // a batch of the baseline
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  const ProgramRun run =
      run_program("dura-study", {"--data",          data.path(), "--out",           out,         "--depth", "18", "--size",   "32",
                                 "--phase1-epochs", "1",         "--phase2-epochs", "0",         "--seeds", "1",  "--device", "cuda-sim",
                                 "--threads",       "1",         "--rows",          "0-baseline"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  const std::string baseline = out + "/0-baseline-seed0";
  CHECK(nlohmann::json::parse(read_text_file(baseline + "/run.json", 1 << 20))["device"] == "cuda-sim");
  CHECK_THAT(read_text_file(baseline + "/config.toml", 1 << 20), Contains("threads = 1"));
}

TEST_CASE("a study refuses rows that it does not have", "[apps][study]") {
  const TextureData data({.train = 2});
  const TemporaryFolder folder;
  std::vector<std::string> wrong = study_arguments(data, folder / "a");
  wrong.push_back("9-magic");
  const ProgramRun refused = run_program("dura-study", wrong);
  CHECK(refused.code == 2);
  CHECK_THAT(refused.output, Contains("9-magic") && Contains("0-baseline"));
}

// The budget is far below one run's time, so what happens does not depend on how fast the machine is.
TEST_CASE("a study out of budget keeps what it has, and each further call does at least one run", "[apps][study]") {
  const TextureData data({.train = 36});  // more than the baseline's batch of 32
  const TemporaryFolder folder;
  const std::string out = folder / "study";
  std::vector<std::string> short_of_time = study_arguments(data, out);
  short_of_time.insert(short_of_time.end(), {"--budget", "1e-9"});
  const ProgramRun stopped = run_program("dura-study", short_of_time);
  INFO(stopped.output);
  REQUIRE(stopped.code == 0);
  CHECK_THAT(stopped.output, Contains("budget") && Contains("1 of 2 runs are left"));
  CHECK(run_folders(out) == std::set<std::string>{"0-baseline-seed0"});
  CHECK(table_of(out + "/study.csv").rows.size() == 1);

  const ProgramRun second = run_program("dura-study", short_of_time);
  INFO(second.output);
  REQUIRE(second.code == 0);
  CHECK_THAT(second.output, !Contains("budget"));
  CHECK(table_of(out + "/study.csv").rows.size() == 2);
}

TEST_CASE("a search orders settings by their mean less one standard error, those with all folds first", "[apps][study]") {
  const auto row = [](const std::string& name, const std::vector<double>& f1) {
    SearchRow r{.name = name, .changes = {}};
    for (const double v : f1) r.folds.push_back({.f1 = v, .auc = v, .seconds = 1800});
    return r;
  };
  SearchTable table{
      .rare = "rare", .folds = 2, .rows = {row("unsure", {0.6, 1.0}), row("none", {}), row("sure", {0.75, 0.79}), row("half", {0.99})}};
  CHECK(table.rows[0].mean_f1() == Approx(0.8));
  CHECK(table.rows[0].standard_error() == Approx(0.2));  // of two values: half of their distance
  CHECK(table.rows[0].score() == Approx(0.6));
  CHECK(table.rows[2].score() == Approx(0.75));
  CHECK(table.rows[0].hours() == Approx(1));
  CHECK(table.order() == std::vector<size_t>{2, 0, 3, 1});
  REQUIRE(table.best());
  CHECK(table.best()->name == "sure");
  table.folds = 3;
  CHECK(table.best() == nullptr);  // nothing has been through all folds
  CHECK_THAT(search_text(table), Contains("No setting has been through all folds yet"));
}

TEST_CASE("dura-study --settings trains each setting in every fold, keeps the best and leaves the test pictures alone", "[apps][study]") {
  const TextureData data({.train = 18, .val = 9, .test = 8});
  const TemporaryFolder folder;
  const std::string base = folder.write("base.toml", "depth = 18\nsize = 32\nphase1-epochs = 1\nphase2-epochs = 0\nbatch = 8\n");
  const std::string slow = folder.write("slow.toml", "phase1-lr = 0.002\n"), fast = folder.write("fast.toml", "phase1-lr = 0.01\n");
  const std::string out = folder / "search";
  const std::vector<std::string> arguments = {"--data", data.path(), "--out",   out, "--base", base, "--settings",
                                              slow,     fast,        "--folds", "3", "--keep", "1"};
  // The test pictures are not even there.
  for (int i = 27; i < 35; ++i) fs::remove(data.folder / concat("p", i, ".png"));
  const ProgramRun run = run_program("dura-study", arguments);
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output,
             Contains("8 test images stay out") && Contains("left out after fold 1") && Contains("Best by mean F1 of rare over 3 folds"));
  const auto json = nlohmann::json::parse(read_text_file(out + "/search.json", 1 << 20));
  const std::string best = json["best"];
  for (const auto& setting : json["settings"]) {
    CHECK(setting["folds"].size() == (setting["name"] == best ? 3 : 1));
    CHECK(setting["left_out"] == (setting["name"] != best));
  }
  std::set<std::string> tested;  // every picture once, none of them of the manifest's test set
  for (int f = 1; f <= 3; ++f) {
    const std::string at = concat(out, "/", best, "/fold", f);
    CHECK(nlohmann::json::parse(read_text_file(at + "/evaluation_test.json", 1 << 22))["decision"]["rule"] == "f1");
    CHECK_THAT(read_text_file(at + "/config.toml", 1 << 20),
               Contains(best == "fast" ? "phase1-lr = 0.01" : "phase1-lr = 0.002") && Contains("batch = 8"));
    for (const CsvRow& row : read_csv(at + "/predictions_test.csv").rows) CHECK(tested.insert(row.fields[0]).second);
  }
  CHECK(tested.size() == 27);
  CHECK_FALSE(tested.count("p30.png"));
  CHECK_THAT(read_text_file(out + "/search.html", 1 << 22), Contains("What each setting changes") && Contains("--phase1-lr"));

  // Again: nothing is trained anew, and the same is said.
  const auto before = fs::last_write_time(out + "/" + best + "/fold1/model.safetensors");
  CHECK(run_program("dura-study", arguments).code == 0);
  CHECK(fs::last_write_time(out + "/" + best + "/fold1/model.safetensors") == before);
}

TEST_CASE("a search refuses unknown settings before the first run, and goes on without one that fails", "[apps][study]") {
  const TextureData data({.train = 18, .val = 9, .test = 0});
  const TemporaryFolder folder;
  const std::string base = folder.write("base.toml", "depth = 18\nsize = 32\nphase1-epochs = 1\nphase2-epochs = 0\n");
  const auto search = [&](const std::vector<std::string>& settings) {
    return run_program("dura-study",
                       joined({"--data", data.path(), "--out", folder / "s", "--base", base, "--folds", "3", "--settings"}, settings));
  };
  const ProgramRun unknown = search({folder.write("odd.toml", "speed = 3\n")});
  CHECK(unknown.code == 2);
  CHECK_THAT(unknown.output, Contains("speed is no setting of dura-train"));
  const ProgramRun failing = search({folder.write("missing.toml", "weights = \"nowhere.safetensors\"\n")});
  INFO(failing.output);
  CHECK(failing.code == 0);
  CHECK_THAT(failing.output, Contains("missing is given up") && Contains("nowhere.safetensors") && Contains("failed"));
}
