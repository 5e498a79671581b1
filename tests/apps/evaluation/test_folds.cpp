// Folds of a cross-validation as one result.
#include "tests/support/catch.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/evaluation/fold_summary.h"
#include "apps/evaluation/split_evaluation.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "tests/support/run_program.h"
#include "tests/support/temporary_folder.h"

using namespace dura;
using namespace dura::test;
using Catch::Contains;

namespace {

// A fold of four pictures of two patients, of which `right` are decided rightly, as dura-evaluate writes it.
std::string fold(int right, const std::string& rule = "argmax", bool one_class = false) {
  Predictions p{.classes = 2, .samples = {}, .labels = {}, .logits = {}, .probabilities = {}};
  for (int i = 0; i < 4; ++i) {
    const int32_t label = one_class ? 0 : i % 2, answer = i < right ? label : 1 - label;
    p.samples.push_back(i);
    p.labels.push_back(label);
    p.logits.insert(p.logits.end(), {answer == 0 ? 1.0 : -1.0, 0.0});
  }
  p.probabilities = softmax_rows(p.logits, 2);
  SplitEvaluation s;
  s.split = "test";
  s.classes = {"rare", "usual"};
  s.threshold_rule = rule;
  s.results.push_back(evaluate(p, s.classes, "untouched", s.decision, Bootstrap({"A", "A", "B", "B"}, {.resamples = 20})));
  return split_evaluation_json(s);
}

const FoldScore& score(const FoldSummary& s, const std::string& name) {
  for (const FoldScore& f : s.scores)
    if (f.score == name) return f;
  fail("no score ", name);
}

}  // namespace

TEST_CASE("folds give mean, spread and the scores of all decisions together", "[evaluation]") {
  const FoldSummary s = summarise_folds({{"f1", fold(4)}, {"f2", fold(2)}, {"f3", fold(3)}});
  const FoldScore accuracy = score(s, "accuracy");
  CHECK(accuracy.values == std::vector<double>{1, 0.5, 0.75});
  CHECK(accuracy.mean == Approx(0.75));
  CHECK(accuracy.spread == Approx(0.25));  // sqrt((0.25^2 + 0.25^2) / 2)
  CHECK(accuracy.low == 0.5);
  CHECK(accuracy.high == 1);
  CHECK(s.pooled.total() == 12);
  CHECK(s.pooled.accuracy() == Approx(9.0 / 12));
  CHECK(s.pooled.count(0, 0) == 5);  // 2 + 1 + 2
  CHECK(s.pooled.count(1, 0) == 2);  // of fold 2 picture 3, of fold 3 picture 3
  CHECK_THAT(fold_summary_text(s), Contains("3 folds, untouched") && Contains("all folds together"));
  const auto json = nlohmann::json::parse(fold_summary_json(s));
  CHECK(json["folds"].size() == 3);
  CHECK(json["pooled"]["classes"][0]["predicted"]["rare"] == 5);
}

TEST_CASE("a score that a fold does not have is left out of its mean and counted", "[evaluation]") {
  const FoldSummary s = summarise_folds({{"f1", fold(4)}, {"f2", fold(4, "argmax", true)}, {"f3", fold(3, "argmax", true)}});
  const FoldScore auc = score(s, "ROC AUC rare");
  CHECK(auc.defined == 1);
  CHECK(auc.mean == 1);
  CHECK(std::isnan(auc.values[1]));
  CHECK(std::isnan(auc.spread));
  CHECK(nlohmann::json::parse(fold_summary_json(s))["scores"].size() == s.scores.size());
}

TEST_CASE("folds that are not of one design are refused", "[evaluation]") {
  CHECK_THROWS_AS(summarise_folds({{"f1", fold(4)}}), UsageError);
  CHECK_THROWS_WITH(summarise_folds({{"f1", fold(4)}, {"f2", fold(3)}, {"f3", fold(4)}}), Contains("f3 says the same as f1"));
  CHECK_THROWS_WITH(summarise_folds({{"f1", fold(4)}, {"f2", fold(4, "f1")}}), Contains("f2 has the threshold rule f1"));
  CHECK_THROWS_WITH(summarise_folds({{"f1", fold(4)}, {"f2", fold(4)}}, "rare class augmented"),
                    Contains("no result 'rare class augmented'"));
  CHECK_THROWS_WITH(summarise_folds({{"f1", fold(4)}, {"f2", "{}"}}), Contains("f2: this is no evaluation"));
  CHECK_THROWS_WITH(summarise_folds({{"f1", "no JSON"}, {"f2", fold(4)}}), Contains("f1: this is no evaluation"));
  auto other = nlohmann::ordered_json::parse(fold(4));
  other["complete"] = false;
  CHECK_THROWS_WITH(summarise_folds({{"f1", fold(4)}, {"f2", other.dump()}}), Contains("not complete"));
  other["complete"] = true;
  other["split"] = "val";
  CHECK_THROWS_WITH(summarise_folds({{"f1", fold(4)}, {"f2", other.dump()}}), Contains("about the split val"));
}

TEST_CASE("dura-compare sums folds up, and compares two runs only", "[apps][evaluate]") {
  const TemporaryFolder folder;
  for (const char* name : {"a", "b", "c"}) {
    std::filesystem::create_directories(folder / name);
    folder.write(concat(name, "/evaluation_test.json"), fold(*name - 'a' + 2));
  }
  const ProgramRun run = run_program("dura-compare", {"--folds", folder / "a", folder / "b", folder / "c", "--out", folder / "folds.json"});
  INFO(run.output);
  CHECK(run.code == 0);
  CHECK_THAT(run.output, Contains("3 folds, untouched"));
  CHECK(nlohmann::json::parse(read_text_file(folder / "folds.json", 1 << 20))["format"] == "dura folds 1");
  const ProgramRun three = run_program("dura-compare", {folder / "a", folder / "b", folder / "c"});
  CHECK(three.code == 2);
  CHECK_THAT(three.output, Contains("two runs are compared, 3 were given") && Contains("--folds"));
}
