// A patient or a group in two splits: refused by every program, and where it is allowed, told by everything that is written afterwards.
#include "tests/support/catch.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

const std::string patient_leak = "patient P3 is in train (1), val (1)";

std::string text_of(const std::string& file) { return read_text_file(file, 1 << 22); }

// The manifest with patient P3, of training, in validation too.
std::string leaky_manifest(const TextureData& data) {
  std::string text = text_of(data.manifest());
  const std::string from = "p24.png,rare,val,P24";
  return data.folder.write("leaky.csv", text.replace(text.find(from), from.size(), "p24.png,rare,val,P3"));
}

// Groups as the leak audit writes them: p0 (train) and p32 (test) are copies of one picture.
std::string manifest_with_divided_group(const TextureData& data) {
  std::string text = "file,label,split,group\n";
  for (int i = 0; i < 40; ++i)
    text += concat("p", i, ".png,", i % 3 ? "usual" : "rare", ",",
                   i < 24   ? "train"
                   : i < 32 ? "val"
                            : "test",
                   ",", i == 0 || i == 32 ? "copies of p0.png" : "", "\n");
  return data.folder.write("groups.csv", text);
}

std::vector<std::string> train_arguments(const TextureData& data, const std::string& out) {
  return {"--data",  data.path(), "--out",           out, "--size",          "32", "--batch", "4",
          "--depth", "18",        "--phase1-epochs", "1", "--phase2-epochs", "0"};
}

}  // namespace

TEST_CASE("a patient or a group in two splits is refused by train, evaluate and prepare", "[apps][leak]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  const std::string groups = manifest_with_divided_group(data), patients = leaky_manifest(data);
  for (const auto& [manifest, message] :
       {std::pair{groups, std::string("group copies of p0.png is in train (1), test (1)")}, std::pair{patients, patient_leak}}) {
    const std::vector<ProgramRun> runs = {
        run_program("dura-train", joined(train_arguments(data, out / "run"), {"--manifest", manifest})),
        run_program("dura-evaluate", {"--data", data.path(), "--model", model, "--out", out / "e", "--manifest", manifest}),
        run_program("dura-prepare", {data.path(), "--manifest", manifest, "--out", out / "again.csv"})};
    for (const ProgramRun& run : runs) {
      INFO(run.output);
      CHECK(run.code == 1);
      CHECK_THAT(run.output, Contains(message) && Contains("--allow-leak"));
    }
  }
  CHECK(!std::filesystem::exists(out / "run/run.json"));
  CHECK(!std::filesystem::exists(out / "e/evaluation_test.json"));
  CHECK(!std::filesystem::exists(out / "again.csv"));
}

TEST_CASE("a leak that was allowed is told by the run directory and by every later evaluation", "[apps][leak]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string run = out / "run";
  const ProgramRun trained =
      run_program("dura-train", joined(train_arguments(data, run), {"--manifest", leaky_manifest(data), "--allow-leak"}));
  INFO(trained.output);
  REQUIRE(trained.code == 0);
  CHECK_THAT(text_of(run + "/config.toml"), Contains("allow-leak=true") || Contains("allow-leak = true"));
  CHECK(nlohmann::json::parse(text_of(run + "/run.json"))["allowed_leaks"] == nlohmann::json{patient_leak});

  const std::vector<std::string> arguments = {"--data", data.path(), "--model", run + "/model.safetensors", "--out", run};
  // The manifest of this evaluation is clean: what counts is what the model was trained on.
  const ProgramRun evaluated = run_program("dura-evaluate", arguments);
  INFO(evaluated.output);
  REQUIRE(evaluated.code == 0);
  CHECK(nlohmann::json::parse(text_of(run + "/evaluation_test.json"))["allowed_leaks"] == nlohmann::json{patient_leak});
  REQUIRE(run_program("dura-report", {"--run", run}).code == 0);
  CHECK_THAT(text_of(run + "/report.html"), Contains("Leak, let pass by --allow-leak: patient P3"));
  CHECK_THAT(evaluated.output, Contains("scores are too good") && Contains("patient P3"));

  data.folder.write("damaged/run.json", "{");
  std::filesystem::copy_file(run + "/model.safetensors", data.folder / "damaged/model.safetensors");
  const ProgramRun damaged =
      run_program("dura-evaluate", {"--data", data.path(), "--model", data.folder / "damaged/model.safetensors", "--out", out / "d"});
  CHECK(damaged.code == 1);
  CHECK_THAT(damaged.output, Contains("damaged/run.json"));
}

TEST_CASE("a run without leaks says so", "[apps][leak]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  const ProgramRun run = run_program("dura-evaluate", {"--data", data.path(), "--model", model, "--out", out.path()});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK(nlohmann::json::parse(text_of(out / "evaluation_test.json"))["allowed_leaks"] == nlohmann::json::array());
  CHECK_THAT(run.output, !Contains("too good"));
}
