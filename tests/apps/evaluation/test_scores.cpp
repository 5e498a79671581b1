// Scores of predictions, and the sets that have no ordinary ones.
#include "tests/support/catch.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/program/text_table.h"
#include "apps/evaluation/split_evaluation.h"

using namespace dura;
using Catch::Contains;

namespace {

const std::vector<std::string> names = {"rare", "usual"};

// Two classes; `p` is the probability of the first.
Predictions predictions_of(const std::vector<int32_t>& labels, const std::vector<double>& p) {
  Predictions result{.classes = 2, .samples = {}, .labels = labels, .logits = {}, .probabilities = {}};
  for (const double v : p) {
    result.samples.push_back(static_cast<int64_t>(result.samples.size()));
    result.logits.insert(result.logits.end(), {std::log(v), std::log(1 - v)});
  }
  result.probabilities = softmax_rows(result.logits, 2);
  return result;
}

Evaluation evaluated(const std::vector<int32_t>& labels, const std::vector<double>& p, const std::vector<std::string>& patients,
                     const Decision& decision = {}) {
  return evaluate(predictions_of(labels, p), names, "untouched", decision, Bootstrap(patients, {.resamples = 200}));
}

SplitEvaluation document(const Evaluation& e, int64_t patients) {
  SplitEvaluation s;
  s.split = "test", s.classes = names, s.threshold_rule = "argmax", s.units = "patients", s.unit_count = patients;
  s.results = {e};
  return s;
}

}  // namespace

TEST_CASE("scores come with intervals around them, and the threshold decides", "[evaluation]") {
  std::vector<int32_t> labels;
  std::vector<double> p;
  std::vector<std::string> patients;
  for (int i = 0; i < 60; ++i) {
    labels.push_back(i % 3 == 0 ? 0 : 1);
    p.push_back(i % 3 == 0 ? (i % 2 ? 0.8 : 0.4) : (i % 7 == 0 ? 0.6 : 0.1));
    patients.push_back(std::to_string(i / 2));
  }
  const Evaluation e = evaluated(labels, p, patients);
  const ClassScores& rare = e.classes[0];
  CHECK(rare.support == 20);
  CHECK(rare.recall.value == 0.5);
  CHECK(rare.precision.value == Approx(10.0 / 16));
  CHECK(e.accuracy.value == Approx(44.0 / 60));
  for (const auto& [value, interval] : {rare.precision, rare.recall, rare.f1, rare.auc, e.accuracy}) {
    CHECK(interval.low < value);
    CHECK(interval.high > value);
    CHECK(interval.low >= 0);
    CHECK(interval.high <= 1);
  }
  const Evaluation lower = evaluated(labels, p, patients, {.argmax = false, .rare = 0, .threshold = 0.3});
  CHECK(lower.classes[0].recall.value == 1);
  CHECK(lower.classes[0].auc.value == rare.auc.value);  // a threshold does not move what the probabilities are worth
  CHECK(lower.calibration_error == e.calibration_error);
}

TEST_CASE("a set of one class, one patient, one score: what is not defined is not given", "[evaluation]") {
  const Evaluation one_class = evaluated({0, 0, 0}, {0.9, 0.8, 0.2}, {"a", "b", "c"});
  CHECK(std::isnan(one_class.classes[0].auc.value));
  CHECK(std::isnan(one_class.classes[0].auc.interval.low));
  CHECK(std::isnan(one_class.classes[1].recall.interval.low));
  CHECK(one_class.classes[1].recall.value == 0);
  CHECK(one_class.classes[0].precision.value == 1);

  const Evaluation never = evaluated({0, 1, 1, 0}, {0.1, 0.2, 0.1, 0.3}, {"a", "b", "c", "d"});
  CHECK(never.classes[0].precision.value == 0);
  CHECK(std::isnan(never.classes[0].precision.interval.low));  // no draw has a positive call
  CHECK(never.classes[0].recall.interval.high == 0);

  const Evaluation same = evaluated({0, 1, 1, 0}, {0.5, 0.5, 0.5, 0.5}, {"a", "b", "c", "d"});
  CHECK(same.classes[0].auc.value == 0.5);
  CHECK(same.classes[0].auc.interval.low == 0.5);
  CHECK(same.classes[0].average_precision.value == 0.5);

  const Evaluation single = evaluated({0, 1}, {0.9, 0.2}, {"a", "a"});
  CHECK(single.accuracy.value == 1);
  CHECK(std::isnan(single.accuracy.interval.low));

  for (const Evaluation& e : {one_class, never, same, single}) {
    const std::string text = split_evaluation_text(document(e, 1));
    CHECK_THAT(text, !Contains("nan"));
    CHECK_THAT(text, Contains("No intervals"));
    const auto json = nlohmann::json::parse(split_evaluation_json(document(e, 1)));
    CHECK(json["results"][0]["classes"].size() == 2);
  }
  const auto json = nlohmann::json::parse(split_evaluation_json(document(one_class, 3)));
  CHECK(json["results"][0]["classes"][0]["auc"]["value"].is_null());
  CHECK(json["results"][0]["classes"][0]["curve"]["false_positive_rate"][0].is_null());
}

TEST_CASE("a diverged network is scored without a crash, and nothing that hangs on its probabilities is given", "[evaluation]") {
  Predictions p = predictions_of({0, 1}, {0.5, 0.5});
  p.logits[0] = NAN;
  p.probabilities = softmax_rows(p.logits, 2);
  const Evaluation e = evaluate(p, names, "untouched", {}, Bootstrap({"a", "b"}, {.resamples = 20}));
  CHECK(std::isnan(e.classes[0].auc.value));
  CHECK(std::isnan(e.calibration_error));
  CHECK_THAT(split_evaluation_text(document(e, 2)), !Contains("nan"));
}

TEST_CASE("curves in the file are thinned to 400 points, their ends kept", "[evaluation]") {
  std::vector<int32_t> labels;
  std::vector<double> p;
  std::vector<std::string> patients;
  for (int i = 0; i < 1000; ++i) labels.push_back(i % 2), p.push_back((i + 0.5) / 1000), patients.push_back(std::to_string(i % 5));
  const auto json = nlohmann::json::parse(split_evaluation_json(document(evaluated(labels, p, patients), 5)));
  const auto& curve = json["results"][0]["classes"][0]["curve"];
  CHECK(curve["points"] == 1001);
  CHECK(curve["recall"].size() == 400);
  CHECK(curve["precision"].size() == 400);
  CHECK(curve["threshold"][0].is_null());
  CHECK(curve["recall"][0] == 0);
  CHECK(curve["recall"][399] == 1);
  CHECK(curve["false_positive_rate"][399] == 1);
}

TEST_CASE("columns of a text table stand under each other, whatever the bytes of a character", "[evaluation]") {
  CHECK(text_table({{"what", "count"}, {"M\u00e9ningiome", "7"}, {"x", "12"}}, 0) ==
        "what        count\nM\u00e9ningiome      7\nx              12\n");
  CHECK(fixed(0.12345, 3) == "0.123");
  CHECK(fixed(NAN, 3) == "-");
}
