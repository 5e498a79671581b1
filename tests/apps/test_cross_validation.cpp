// Cross-validation: parts that no patient divides, and runs of folds that go on where they stopped.
#include "tests/support/catch.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "apps/study/cross_validation.h"
#include "engine/base/file.h"
#include "tests/support/program_output.h"
#include "tests/support/running_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;
namespace fs = std::filesystem;

TEST_CASE("every patient is tested in one fold and validated in another, and what was held out stays out", "[data][folds]") {
  std::string text = "file,label,split,patient\n";
  for (int i = 0; i < 120; ++i)
    text += concat(i, ".png,", i / 4 % 3 == 0 ? "rare" : "usual", ",", i < 100 ? "train" : "test", ",P", i / 4, "\n");
  const Manifest manifest = parse_manifest(text, "m");
  const SplitRows splits = rows_by_split(manifest);
  const std::vector<Manifest> folds = fold_manifests(manifest, splits[Split::train], ClassNames({"rare", "usual"}), 5, 3);
  REQUIRE(folds.size() == 5);
  std::map<std::string, int> tested, validated;
  for (const Manifest& m : folds) {
    const SplitRows rows = rows_by_split(m);
    CHECK(find_leaks(m, rows).empty());
    CHECK(rows.left_out.at("held_out") == 20);
    CHECK((rows[Split::test].size() >= 16 && rows[Split::test].size() <= 24));  // 25 patients of 4, within one of them
    int rare = 0;
    for (const int64_t row : rows[Split::test]) {
      ++tested[m.rows[static_cast<size_t>(row)].file];
      rare += m.rows[static_cast<size_t>(row)].label == "rare";
    }
    CHECK((rare == 4 || rare == 8));  // 36 of 100 in whole patients of 4
    for (const int64_t row : rows[Split::val]) ++validated[m.rows[static_cast<size_t>(row)].file];
  }
  CHECK(tested.size() == 100);
  CHECK(validated.size() == 100);
  for (const auto& [file, count] : tested) CHECK(count == 1);
  CHECK_THROWS_AS(fold_manifests(manifest, splits[Split::train], ClassNames({"rare", "usual"}), 2, 3), UsageError);
}

TEST_CASE("dura-train --folds trains and scores every fold, and --resume does only what is missing", "[apps][train][folds]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string run = out / "run", weights = write_initial_model(out / "weights.safetensors");
  const std::vector<std::string> command = {"--data",          data.path(), "--out",           run,  "--weights", weights,
                                            "--depth",         "18",        "--size",          "32", "--batch",   "4",
                                            "--phase1-epochs", "8",         "--phase2-epochs", "0",  "--folds",   "3"};
  const ProgramRun first = run_program("dura-train", command);
  CAPTURE(first.output);
  REQUIRE(first.code == 0);
  CHECK_THAT(first.output, Contains("8 test images stay out"));
  const std::string figures = read_text_file(run + "/folds.json", 1 << 20);
  const auto json = nlohmann::json::parse(figures);
  REQUIRE(json["folds"].size() == 3);
  for (int f = 1; f <= 3; ++f) {
    const auto evaluation = nlohmann::json::parse(read_text_file(run + concat("/fold", f, "/evaluation_test.json"), 1 << 22));
    CHECK(json["scores"][0]["values"][f - 1] == evaluation["results"][0]["accuracy"]["value"]);
  }
  const auto trained = fs::last_write_time(run + "/fold1/model.safetensors");
  fs::remove_all(run + "/fold3");
  fs::remove(run + "/folds.json");
  {  // stopped in the middle of the third fold
    const std::string log = run + "/fold3/log.txt";
    RunningProgram stopped("dura-train", joined(command, {"--resume"}), out / "log");
    stopped.run_until([&] { return text_so_far(log).find("phase1 epoch 1/8  train loss") != std::string::npos; });
    stopped.interrupt(SIGTERM);
    CHECK(stopped.wait() == 128 + SIGTERM);
    CHECK(!fs::exists(run + "/fold3/model.safetensors"));
  }
  {  // killed in the middle of it: the fold that was started stops, too, and does not hold its directory
    RunningProgram killed("dura-train", joined(command, {"--resume"}), out / "log");
    std::vector<pid_t> folds;
    killed.run_until([&] { return !(folds = children_of(killed.process())).empty(); });
    killed.interrupt(SIGKILL);
    killed.wait();
    REQUIRE(folds.size() == 1);
    const auto runs = [&] {  // what is dead and whose exit code nobody has asked for is Z
      std::ifstream stat(concat("/proc/", folds[0], "/stat"));
      std::string line;
      return std::getline(stat, line) && line.find(") Z ") == std::string::npos;
    };
    for (int i = 0; i < 2000 && runs(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK_FALSE(runs());
    CHECK(!fs::exists(run + "/fold3/model.safetensors"));
  }
  const ProgramRun again = run_program("dura-train", joined(command, {"--resume"}));
  CAPTURE(again.output);
  REQUIRE(again.code == 0);
  CHECK_THAT(again.output, Contains("fold 3/3: dura-train") && !Contains("fold 1/3"));
  CHECK_THAT(read_text_file(run + "/fold3/log.txt", 1 << 22), Contains("resuming after phase1 epoch "));
  CHECK(fs::last_write_time(run + "/fold1/model.safetensors") == trained);
  CHECK(read_text_file(run + "/folds.json", 1 << 20) == figures);
  const ProgramRun other = run_program("dura-train", joined(command, {"--resume", "--seed", "9"}));
  CHECK(other.code == 2);
  CHECK_THAT(other.output, Contains("seed: 9, the run has 0"));
}
