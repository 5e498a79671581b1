// dura-evaluate from outside: what is chosen on validation, what is written, what is refused.
#include "tests/support/catch.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/set/csv.h"
#include "engine/base/file.h"
#include "tests/support/program_output.h"
#include "tests/support/texture_data.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

nlohmann::json json_of(const std::string& file) { return nlohmann::json::parse(read_text_file(file, 1 << 22)); }

// Validation gets its second class away: nothing can be chosen there.
std::string manifest_without_rare_validation(const TextureData& data) {
  std::string text = read_text_file(data.manifest(), 1 << 20), kept;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    if (line.find(",rare,val,") == std::string::npos) kept += line + "\n";
    begin = end + 1;
  }
  data.folder.write("one_class.csv", kept);
  return data.folder / "one_class.csv";
}

}  // namespace

TEST_CASE("threshold and temperature come from validation, are told, and decide the test set", "[apps][evaluate]") {
  const TextureData data;
  const TemporaryFolder out;
  // A network that knows a little by chance: with another seed the best temperature may be none.
  const std::string model = write_initial_model(out / "model.safetensors", {"rare", "usual"}, 5);
  const auto evaluate = [&](const std::string& to, const std::vector<std::string>& more) {
    const ProgramRun run = run_program("dura-evaluate", joined({"--data", data.path(), "--model", model, "--out", to}, more));
    INFO(run.output);
    REQUIRE(run.code == 0);
    return run.output;
  };
  CHECK_THAT(evaluate(out / "plain", {}),
             Contains("Decision: the most probable class") && Contains("rare class rare") && Contains("untouched"));
  const auto plain = json_of(out / "plain/evaluation_test.json");
  CHECK(plain["format"] == "dura evaluation 1");
  CHECK(plain["complete"] == true);
  CHECK(plain["decision"]["threshold"].is_null());
  CHECK(plain["temperature"].is_null());
  CHECK(plain["bootstrap"]["units"] == "patients");
  CHECK(plain["bootstrap"]["count"] == 8);
  CHECK(plain["errors"]["by_diameter"]["not_measured"] == 3);  // no masks: said, not counted as 0 %
  CHECK(plain["errors"]["by_diameter"]["bins"].empty());
  CHECK(plain["errors"]["worst"].size() == plain["errors"]["wrong_decisions"]);

  const std::string text = evaluate(out / "chosen", {"--threshold", "recall=1", "--temperature", "fit", "--balanced"});
  CHECK_THAT(text, Contains("Threshold by the rule recall=1 on validation (8 pictures; there precision") &&
                       Contains("frozen before the test pictures were opened") && Contains("rare class augmented") &&
                       Contains("Temperature"));
  const auto chosen = json_of(out / "chosen/evaluation_test.json");
  CHECK(chosen["decision"]["rule"] == "recall=1");
  CHECK(chosen["decision"]["validation"]["recall"] == 1);
  CHECK(chosen["temperature"]["effects"].size() == 2);
  CHECK(chosen["temperature"]["effects"][0]["split"] == "val");
  CHECK(chosen["temperature"]["effects"][0]["log_loss_after"] <= chosen["temperature"]["effects"][0]["log_loss_before"]);
  CHECK(chosen["results"][0]["classes"][0]["auc"] == plain["results"][0]["classes"][0]["auc"]);  // neither changes the order of pictures

  // The threshold that is told is the one that decides.
  const double threshold = chosen["decision"]["threshold"].get<double>();
  const CsvTable predictions = parse_csv(read_text_file(out / "chosen/predictions_test.csv", 1 << 20), "predictions");
  CHECK(predictions.header ==
        std::vector<std::string>{"file", "label", "predicted", "correct", "p_rare", "p_usual", "patient", "split", "variant"});
  for (const CsvRow& row : predictions.rows) {
    CHECK((row.fields[2] == "rare") == (std::stod(row.fields[4]) >= threshold));
    CHECK(row.fields[7] == "test");
    CHECK(row.fields[8] == "untouched");
  }
  const CsvTable balanced = parse_csv(read_text_file(out / "chosen/predictions_test_balanced.csv", 1 << 20), "predictions");
  CHECK(balanced.header == predictions.header);
  CHECK(static_cast<int64_t>(balanced.rows.size()) == chosen["results"][1]["pictures"].get<int64_t>());
  CHECK(balanced.rows.size() > predictions.rows.size());
  for (const CsvRow& row : balanced.rows) CHECK((row.fields[7] == "test" && row.fields[8] == "balanced"));
}

TEST_CASE("views of test-time augmentation are scored beside the untouched pictures, the same in every run", "[apps][evaluate]") {
  const TextureData data({.train = 3, .val = 3, .test = 8});
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  const auto evaluate = [&](const std::string& to, const std::vector<std::string>& more) {
    const ProgramRun run = run_program("dura-evaluate", joined({"--data", data.path(), "--model", model, "--out", out / to}, more));
    INFO(run.output);
    CHECK(run.code == (more[1] == "1" ? 2 : 0));
    return run.output;
  };
  CHECK_THAT(evaluate("a", {"--tta", "3"}),
             Contains("mean of 3 views") && Contains("untouched") && Contains("has a standard deviation of"));
  evaluate("b", {"--tta", "3", "--batch", "5"});
  const auto a = json_of(out / "a/evaluation_test.json"), b = json_of(out / "b/evaluation_test.json");
  CHECK(a["results"][1]["pictures"] == 8);
  CHECK(a["test_time_augmentation"]["views"] == 3);
  CHECK(a["test_time_augmentation"]["mean_spread"] > 0);
  CHECK(a["test_time_augmentation"]["largest_spread"] >= a["test_time_augmentation"]["mean_spread"]);
  CHECK(a["results"][1]["log_loss"].get<double>() == Approx(b["results"][1]["log_loss"].get<double>()).epsilon(1e-4));
  CHECK_THAT(evaluate("c", {"--tta", "1"}), Contains("at least 2 views"));
}

TEST_CASE("every picture is changed in each of the ways asked for, in a table of its own", "[apps][evaluate]") {
  const TextureData data({.train = 3, .val = 3, .test = 8});
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  const auto evaluate = [&](const std::string& to, const std::vector<std::string>& changes) {
    return run_program("dura-evaluate",
                       joined({"--data", data.path(), "--model", model, "--out", out / to, "--batch", "3", "--changed"}, changes));
  };
  const ProgramRun run = evaluate("a", {"contrast=0.7:0.7", "rotation=0,vflip=1"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("Scores on changed pictures") && Contains("\n  contrast=0.7") && Contains("\n  vflip=1"));
  const auto json = json_of(out / "a/evaluation_test.json");
  CHECK(json["results"].size() == 1);
  REQUIRE(json["changed"].size() == 2);
  for (const auto& changed : json["changed"]) {
    CHECK(changed["pictures"] == 8);
    CHECK(changed["log_loss"] != json["results"][0]["log_loss"]);
  }
  CHECK(json["changed"][0]["log_loss"] != json["changed"][1]["log_loss"]);
  out.write("a/run.json", "{}");
  must_run("dura-report", {"--run", out / "a"});
  CHECK_THAT(read_text_file(out / "a/report.html", 1 << 22), Contains("training need not have seen") && Contains("contrast=0.7"));

  const ProgramRun usual = evaluate("b", {"usual"});
  CHECK(json_of(out / "b/evaluation_test.json")["changed"].size() == 10);
  for (const char* nothing : {"none", "zoom=1:1"}) {
    const ProgramRun refused = evaluate("c", {nothing});
    CHECK(refused.code == 2);
    CHECK_THAT(refused.output, Contains(concat("--changed ", nothing, " changes nothing")));
  }
}

TEST_CASE("what was chosen is on disk before the test set is opened", "[apps][evaluate]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  for (int i = 32; i < 40; ++i) std::filesystem::remove(data.folder / concat("p", i, ".png"));  // the test pictures
  const ProgramRun run =
      run_program("dura-evaluate", {"--data", data.path(), "--model", model, "--out", out / "run", "--threshold", "youden"});
  CHECK(run.code == 1);
  const auto json = json_of(out / "run/evaluation_test.json");
  CHECK(json["complete"] == false);
  CHECK(json["decision"]["threshold"].is_number());
  CHECK_FALSE(json.contains("results"));
}

TEST_CASE("pictures that cannot be decoded are counted and named in the evaluation and in the report", "[apps][evaluate]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  data.folder.write("p33.png", "no picture");
  const ProgramRun run = run_program("dura-evaluate", {"--data", data.path(), "--model", model, "--out", out.path(), "--allow-bad", "0.5"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("1 pictures could not be decoded and are in no score: p33.png"));
  const auto json = json_of(out / "evaluation_test.json");
  REQUIRE(json["bad_pictures"].size() == 1);
  CHECK(json["bad_pictures"][0]["file"] == "p33.png");
  CHECK_THAT(json["bad_pictures"][0]["reason"].get<std::string>(), Contains("p33.png"));
  CHECK(json["results"][0]["pictures"] == 7);
  out.write("run.json", "{}");
  REQUIRE(run_program("dura-report", {"--run", out.path()}).code == 0);
  CHECK_THAT(read_text_file(out / "report.html", 1 << 22), Contains("1 pictures could not be decoded") && Contains("p33.png"));
}

TEST_CASE("a temperature that validation cannot fit is not used", "[apps][evaluate]") {
  const TextureData data({.train = 3, .val = 1, .test = 8});  // one picture: right or wrong, the best temperature is 0 or infinite
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  const std::vector<std::string> arguments = {"--data", data.path(), "--model", model, "--out", out.path()};
  REQUIRE(run_program("dura-evaluate", arguments).code == 0);
  const std::string before = read_text_file(out / "predictions_test.csv", 1 << 20);
  const ProgramRun run = run_program("dura-evaluate", joined(arguments, {"--temperature", "fit"}));
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("Temperature: none"));
  const auto json = json_of(out / "evaluation_test.json");
  CHECK(json["temperature"]["at_bound"] == true);
  CHECK(json["temperature"]["effects"].empty());
  CHECK(read_text_file(out / "predictions_test.csv", 1 << 20) == before);
}

TEST_CASE("dura-evaluate refuses rules it does not know, and validation that cannot choose", "[apps][evaluate]") {
  const TextureData data;
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors");
  const auto run = [&](const std::vector<std::string>& more) {
    return run_program("dura-evaluate", joined({"--data", data.path(), "--model", model, "--out", out / "run"}, more));
  };
  const ProgramRun rule = run({"--threshold", "best"});
  CHECK(rule.code == 2);
  CHECK_THAT(rule.output, Contains("--threshold best") && Contains("youden"));
  const ProgramRun rare = run({"--rare-class", "other"});
  CHECK(rare.code == 2);
  CHECK_THAT(rare.output, Contains("the classes are rare, usual"));
  const ProgramRun larger = run({"--balanced", "--rare-class", "usual"});
  CHECK(larger.code == 2);
  CHECK_THAT(larger.output, Contains("usual has 5 pictures in the split test") && Contains("--rare-class rare"));
  CHECK(!std::filesystem::exists(out / "run/evaluation_test.json"));
  const std::string manifest = manifest_without_rare_validation(data);
  const ProgramRun one_class = run({"--manifest", manifest, "--threshold", "f1"});
  CHECK(one_class.code == 1);
  CHECK_THAT(one_class.output, Contains("validation has 0 pictures of the rare class"));
  CHECK(run({"--manifest", manifest}).code == 0);  // argmax needs no validation
}

TEST_CASE("several models answer with the mean of their probabilities, and their disagreement is told", "[apps][evaluate]") {
  const TextureData data({.train = 3, .val = 8, .test = 8});
  const TemporaryFolder out;
  const std::string a = write_initial_model(out / "a.safetensors", {"rare", "usual"}, 5),
                    b = write_initial_model(out / "b.safetensors", {"rare", "usual"}, 6);
  const auto predictions = [&](const std::string& to, const std::vector<std::string>& models) {
    const ProgramRun run = run_program("dura-evaluate", joined({"--data", data.path(), "--out", out / to, "--model"}, models));
    INFO(run.output);
    REQUIRE(run.code == 0);
    return parse_csv(read_text_file(out / (to + "/predictions_test.csv"), 1 << 20), "predictions");
  };
  const CsvTable first = predictions("a", {a}), second = predictions("b", {b}), both = predictions("both", {a, b});
  REQUIRE(both.header.back() == "disagreement");
  for (size_t i = 0; i < 8; ++i) {
    const double p = std::stod(first.rows[i].fields[4]), q = std::stod(second.rows[i].fields[4]);
    CHECK(std::stod(both.rows[i].fields[4]) == Approx((p + q) / 2).margin(1e-8));
    CHECK(std::stod(both.rows[i].fields.back()) == Approx(std::abs(p - q) / 2).margin(1e-5));
  }
  const auto json = json_of(out / "both/evaluation_test.json");
  CHECK(json["model"].is_null());
  CHECK(json["models"].size() == 2);
  CHECK(json["models_disagree"]["models"] == 2);
  CHECK(json["models_disagree"]["mean_spread"] > 0);
  CHECK(json_of(out / "a/evaluation_test.json")["model"]["file"] == a);

  const auto refused = [&](const std::vector<std::string>& models) {
    const ProgramRun run = run_program("dura-evaluate", joined({"--data", data.path(), "--out", out / "no", "--model"}, models));
    CHECK(run.code == 2);
    return run.output;
  };
  CHECK_THAT(refused({a, a}), Contains("is given twice"));
  CHECK_THAT(refused({a, write_initial_model(out / "c.safetensors", {"usual", "rare"})}), Contains("has the classes rare, usual"));
}

TEST_CASE("the confidence to answer from is chosen on validation, and unsure pictures are left out of a column", "[apps][evaluate]") {
  const TextureData data({.train = 3, .val = 8, .test = 8});
  const TemporaryFolder out;
  const std::string model = write_initial_model(out / "model.safetensors", {"rare", "usual"}, 5);
  const ProgramRun run = run_program("dura-evaluate", {"--data", data.path(), "--model", model, "--out", out.path(), "--coverage", "0.5"});
  INFO(run.output);
  REQUIRE(run.code == 0);
  CHECK_THAT(run.output, Contains("If only the surest pictures were answered") && Contains("pictures are answered (column 'answered')"));
  const auto json = json_of(out / "evaluation_test.json");
  CHECK(json["abstention"]["coverage"] == 0.5);
  CHECK(json["abstention"]["validation_coverage"] >= 0.5);
  CHECK(json["risk_coverage"]["coverage"].back() == 1);
  CHECK(json["risk_coverage"]["risk"].back().get<double>() == Approx(1 - json["results"][0]["accuracy"]["value"].get<double>()));
  const CsvTable rows = parse_csv(read_text_file(out / "predictions_test.csv", 1 << 20), "predictions");
  REQUIRE(rows.header.back() == "answered");
  int64_t answered = 0;
  for (const CsvRow& row : rows.rows) {
    const double confidence = std::stod(row.fields[row.fields.size() - 2]);
    CHECK((row.fields.back() == "1") == (confidence >= json["abstention"]["confidence"].get<double>() - 1e-6));
    answered += row.fields.back() == "1";
  }
  CHECK(json["abstention"]["answered"] == answered);
  if (answered > 0) {
    CHECK(json["results"][1]["title"] == "answered");
    CHECK(json["results"][1]["pictures"] == answered);
  }
  out.write("run.json", "{}");
  REQUIRE(run_program("dura-report", {"--run", out.path()}).code == 0);
  CHECK_THAT(read_text_file(out / "report.html", 1 << 22),
             Contains("Errors among the answered pictures") && Contains("chosen on validation"));
}
