// evaluation_<split>.json. What is not a number is null. docs/formats.md describes the fields.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/evaluation/split_evaluation.h"

namespace dura {

using Json = nlohmann::ordered_json;

// How the parts are written, found by nlohmann's library by their types.
static void to_json(Json& j, const Score& s) { j = {{"value", s.value}, {"low", s.interval.low}, {"high", s.interval.high}}; }
static void to_json(Json& j, const ReliabilityBin& b) {
  j = {{"low", b.low},
       {"high", b.high},
       {"pictures", b.count},
       {"mean_probability", b.mean_probability},
       {"share_positive", b.share_positive}};
}
static void to_json(Json& j, const ValidationChoice& v) {
  j = {{"pictures", v.pictures}, {"precision", v.precision}, {"recall", v.recall}, {"f1", v.f1}};
}
static void to_json(Json& j, const TemperatureEffect& e) {
  j = {{"split", e.split},
       {"log_loss_before", e.log_loss_before},
       {"log_loss_after", e.log_loss_after},
       {"calibration_error_before", e.calibration_error_before},
       {"calibration_error_after", e.calibration_error_after}};
}
static void to_json(Json& j, const EvaluatedModel& m) { j = {{"file", m.file}, {"sha256", m.sha256}}; }
static void to_json(Json& j, const Abstention& a) {
  j = {{"coverage", a.coverage},
       {"confidence", a.confidence},
       {"validation_coverage", a.validation_coverage},
       {"validation_risk", a.validation_risk},
       {"answered", a.answered}};
}
static void to_json(Json& j, const BadImage& b) { j = {{"file", b.file}, {"reason", b.reason}}; }
static void to_json(Json& j, const Share& s) { j = {{"count", s.count}, {"of", s.of}, {"rate", s.rate()}}; }
static void to_json(Json& j, const ErrorRate& r) { j = r.pictures, j["units"] = r.units; }
static void to_json(Json& j, const DiameterBin& b) { j = {{"low_mm", b.low}, {"high_mm", b.high}, {"missed", b.missed}}; }
static void to_json(Json& j, const Trait& t) {
  j = {{"name", t.name}, {"false_positives", t.false_positives}, {"true_negatives", t.true_negatives}};
}

// At most 400 points of a curve, evenly spread, the first and the last among them.
template <class Point>
static std::vector<Point> thinned(const std::vector<Point>& points) {
  constexpr size_t max_points = 400;
  const size_t count = points.size(), kept = std::min(count, max_points);
  std::vector<Point> result;
  for (size_t i = 0; i < kept; ++i) result.push_back(points[kept < 2 ? 0 : i * (count - 1) / (kept - 1)]);
  return result;
}

static void to_json(Json& j, const RiskCoverage& curve) {
  std::vector<double> confidence, coverage, risk;
  for (const CoveragePoint& p : thinned(curve.points())) {
    confidence.push_back(p.threshold);
    coverage.push_back(p.coverage);
    risk.push_back(p.risk);
  }
  j = {{"area", curve.area()}, {"points", curve.points().size()}, {"confidence", confidence}, {"coverage", coverage}, {"risk", risk}};
}

static void to_json(Json& j, const ScoreCurve& curve) {
  std::vector<double> threshold, recall, false_positive_rate, precision;
  for (const CurvePoint& p : thinned(curve.points())) {
    threshold.push_back(p.threshold);
    recall.push_back(curve.true_positive_rate(p));
    false_positive_rate.push_back(curve.false_positive_rate(p));
    precision.push_back(curve.precision(p));
  }
  j = {{"points", curve.points().size()},
       {"threshold", threshold},
       {"recall", recall},
       {"false_positive_rate", false_positive_rate},
       {"precision", precision}};
}

static void to_json(Json& j, const Evaluation& e) {
  j = {{"title", e.title},
       {"pictures", e.confusion.total()},
       {"accuracy", e.accuracy},
       {"balanced_accuracy", e.balanced_accuracy},
       {"log_loss", e.log_loss},
       {"calibration_error", e.calibration_error},
       {"reliability", e.reliability}};
  for (size_t i = 0; i < e.classes.size(); ++i) {
    const ClassScores& c = e.classes[i];
    Json row = {{"name", c.name}, {"pictures", c.support}};
    for (size_t k = 0; k < class_scores.size(); ++k) {
      const Score& score = c.*class_scores[k].score;
      row[class_scores[k].key] = k < scores_with_interval ? Json(score) : Json(score.value);
    }
    for (size_t k = 0; k < e.classes.size(); ++k)
      row["predicted"][e.classes[k].name] = e.confusion.count(static_cast<int64_t>(i), static_cast<int64_t>(k));
    row["curve"] = c.curve;
    row["reliability"] = c.reliability;
    j["classes"].push_back(std::move(row));
  }
}

namespace {

Json spread_json(const Disagreement& d, const char* answers, const char* decisions) {
  return {{answers, d.answers}, {"mean_spread", d.mean_spread}, {"largest_spread", d.largest_spread}, {decisions, d.decisions}};
}

Json decision_json(const SplitEvaluation& s) {
  Json j = {
      {"rule", s.threshold_rule}, {"class", s.rare_name()}, {"threshold", s.decision.argmax ? Json(nullptr) : Json(s.decision.threshold)}};
  if (s.validation) j["validation"] = *s.validation;
  return j;
}

Json picture_json(const AnalysedPicture& p, const SplitEvaluation& s) {
  Json j = {{"file", p.file}, {"class", s.classes[static_cast<size_t>(p.label)]}, {"decided", s.classes[static_cast<size_t>(p.decided)]}};
  j["kind"] = p.label == s.rare ? "false negative" : p.decided == s.rare ? "false positive" : "other";
  for (size_t c = 0; c < s.classes.size(); ++c) j["probabilities"][s.classes[c]] = p.probabilities[c];
  j["lesion_mm"] = p.diameter_mm > 0 ? Json(p.diameter_mm) : Json(nullptr);
  j["mean_intensity"] = p.features.mean_intensity;
  j["brightness"] = p.features.brightness;
  j["bright_spots"] = p.features.bright_spots;
  j["bright_at_border"] = p.features.bright_at_border;
  return j;
}

Json errors_json(const ErrorAnalysis& a, const SplitEvaluation& s) {
  Json j = {{"false_negatives", a.false_negatives},
            {"false_positives", a.false_positives},
            {"by_diameter",
             {{"not_measured", a.not_measured},
              {"under_5_mm", a.under_5_mm},
              {"missed_under_5_mm", a.missed_under_5_mm},
              {"bins", a.by_diameter}}},
            {"traits", a.traits},
            {"wrong_decisions", a.errors},
            {"worst", Json::array()}};
  for (const AnalysedPicture& p : a.worst) j["worst"].push_back(picture_json(p, s));
  return j;
}

}  // namespace

std::string split_evaluation_json(const SplitEvaluation& s) {
  Json j = {{"format", "dura evaluation 1"},
            {"complete", s.complete()},
            {"split", s.split},
            {"model", s.models.size() == 1 ? Json(s.models[0]) : Json(nullptr)},
            {"manifest", {{"file", s.manifest}, {"sha256", s.manifest_sha256}}},
            {"device", s.device},
            {"precision", s.precision},
            {"allowed_leaks", s.allowed_leaks},
            {"classes", s.classes},
            {"rare_class", s.rare_name()},
            {"decision", decision_json(s)},
            {"temperature", nullptr}};
  if (s.models.size() > 1) j["models"] = s.models;
  if (s.abstention) j["abstention"] = *s.abstention;
  if (s.temperature)
    j["temperature"] = {{"value", s.temperature->value}, {"at_bound", s.temperature->at_bound}, {"effects", s.temperature_effects}};
  if (s.complete()) {
    j["bootstrap"] = {{"units", s.units},
                      {"count", s.unit_count},
                      {"resamples", s.bootstrap.resamples},
                      {"seed", s.bootstrap.seed},
                      {"level", s.bootstrap.level}};
    j["bad_pictures"] = s.bad_pictures;
    j["results"] = s.results;
    if (!s.changed.empty()) j["changed"] = s.changed;
    j["test_time_augmentation"] = s.views ? spread_json(*s.views, "views", "decisions_changed") : Json(nullptr);
    if (s.models_disagree) j["models_disagree"] = spread_json(*s.models_disagree, "models", "decide_differently");
    if (s.risk_coverage) j["risk_coverage"] = *s.risk_coverage;
    if (s.errors) j["errors"] = errors_json(*s.errors, s);
  }
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace dura
