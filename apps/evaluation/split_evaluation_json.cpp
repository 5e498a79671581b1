// evaluation_<split>.json. What is not a number is null. docs/formats.md describes the fields.
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/evaluation/split_evaluation.h"
#include "apps/program/json_values.h"

namespace dura {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_points = 400;

Json with_interval(double v, const Interval& i) {
  return {{"value", json_number(v)}, {"low", json_number(i.low)}, {"high", json_number(i.high)}};
}

// At most max_points of `count` places, evenly spread, the first and last among them.
std::vector<size_t> thinned(size_t count) {
  std::vector<size_t> places;
  const size_t kept = std::min(count, max_points);
  for (size_t i = 0; i < kept; ++i) places.push_back(kept < 2 ? 0 : i * (count - 1) / (kept - 1));
  return places;
}

Json curve_json(const ScoreCurve& curve) {
  Json threshold = Json::array(), recall = Json::array(), false_positive_rate = Json::array(), precision = Json::array();
  for (const size_t i : thinned(curve.points().size())) {
    const CurvePoint& p = curve.points()[i];
    threshold.push_back(json_number(p.threshold));
    recall.push_back(json_number(curve.true_positive_rate(p)));
    false_positive_rate.push_back(json_number(curve.false_positive_rate(p)));
    precision.push_back(json_number(curve.precision(p)));
  }
  return {{"points", curve.points().size()},
          {"threshold", threshold},
          {"recall", recall},
          {"false_positive_rate", false_positive_rate},
          {"precision", precision}};
}

Json reliability_json(const std::vector<ReliabilityBin>& bins) {
  Json all = Json::array();
  for (const ReliabilityBin& b : bins)
    all.push_back({{"low", b.low},
                   {"high", b.high},
                   {"pictures", b.count},
                   {"mean_probability", json_number(b.mean_probability)},
                   {"share_positive", json_number(b.share_positive)}});
  return all;
}

Json result_json(const Evaluation& e) {
  Json j = {{"title", e.title},
            {"pictures", e.confusion.total()},
            {"accuracy", with_interval(e.accuracy, e.accuracy_interval)},
            {"balanced_accuracy", json_number(e.balanced_accuracy)},
            {"log_loss", json_number(e.log_loss)},
            {"calibration_error", json_number(e.calibration_error)},
            {"reliability", reliability_json(e.reliability)}};
  for (size_t i = 0; i < e.classes.size(); ++i) {
    const ClassScores& c = e.classes[i];
    Json row = {{"name", c.name},
                {"pictures", c.support},
                {"precision", with_interval(c.precision, c.precision_interval)},
                {"recall", with_interval(c.recall, c.recall_interval)},
                {"f1", with_interval(c.f1, c.f1_interval)},
                {"auc", with_interval(c.auc, c.auc_interval)},
                {"average_precision", json_number(c.average_precision)},
                {"brier", json_number(c.brier)}};
    for (size_t k = 0; k < e.classes.size(); ++k)
      row["predicted"][e.classes[k].name] = e.confusion.count(static_cast<int64_t>(i), static_cast<int64_t>(k));
    row["curve"] = curve_json(c.curve);
    row["reliability"] = reliability_json(c.reliability);
    j["classes"].push_back(std::move(row));
  }
  return j;
}

Json decision_json(const SplitEvaluation& s) {
  Json j = {{"rule", s.threshold_rule},
            {"class", s.classes[static_cast<size_t>(s.rare)]},
            {"threshold", s.decision.argmax ? Json(nullptr) : json_number(s.decision.threshold)}};
  if (s.validation)
    j["validation"] = {{"pictures", s.validation->pictures},
                       {"precision", json_number(s.validation->precision)},
                       {"recall", json_number(s.validation->recall)},
                       {"f1", json_number(s.validation->f1)}};
  return j;
}

Json temperature_json(const SplitEvaluation& s) {
  Json j = {{"value", s.temperature->value}, {"at_bound", s.temperature->at_bound}, {"effects", Json::array()}};
  for (const TemperatureEffect& e : s.temperature_effects)
    j["effects"].push_back({{"split", e.split},
                            {"log_loss_before", json_number(e.log_loss_before)},
                            {"log_loss_after", json_number(e.log_loss_after)},
                            {"calibration_error_before", json_number(e.calibration_error_before)},
                            {"calibration_error_after", json_number(e.calibration_error_after)}});
  return j;
}

Json share_json(const Share& s) { return {{"count", s.count}, {"of", s.of}, {"rate", json_number(s.rate())}}; }

Json error_rate_json(const ErrorRate& r) {
  Json j = share_json(r.pictures);
  j["units"] = r.units;
  return j;
}

Json picture_json(const AnalysedPicture& p, const SplitEvaluation& s) {
  Json j = {{"file", p.file}, {"class", s.classes[static_cast<size_t>(p.label)]}, {"decided", s.classes[static_cast<size_t>(p.decided)]}};
  j["kind"] = p.label == s.rare ? "false negative" : p.decided == s.rare ? "false positive" : "other";
  for (size_t c = 0; c < s.classes.size(); ++c) j["probabilities"][s.classes[c]] = json_number(p.probabilities[c]);
  j["lesion_mm"] = p.diameter_mm > 0 ? Json(p.diameter_mm) : Json(nullptr);
  j["mean_intensity"] = json_number(p.features.mean_intensity);
  j["brightness"] = json_number(p.features.brightness);
  j["bright_spots"] = p.features.bright_spots;
  j["bright_at_border"] = p.features.bright_at_border;
  return j;
}

Json errors_json(const ErrorAnalysis& a, const SplitEvaluation& s) {
  Json j = {{"false_negatives", error_rate_json(a.false_negatives)},
            {"false_positives", error_rate_json(a.false_positives)},
            {"by_diameter",
             {{"not_measured", a.not_measured},
              {"under_5_mm", share_json(a.under_5_mm)},
              {"missed_under_5_mm", share_json(a.missed_under_5_mm)},
              {"bins", Json::array()}}},
            {"traits", Json::array()},
            {"wrong_decisions", a.errors},
            {"worst", Json::array()}};
  for (const DiameterBin& b : a.by_diameter)
    j["by_diameter"]["bins"].push_back({{"low_mm", b.low}, {"high_mm", b.high}, {"missed", share_json(b.missed)}});
  for (const Trait& t : a.traits)
    j["traits"].push_back(
        {{"name", t.name}, {"false_positives", share_json(t.false_positives)}, {"true_negatives", share_json(t.true_negatives)}});
  for (const AnalysedPicture& p : a.worst) j["worst"].push_back(picture_json(p, s));
  return j;
}

}  // namespace

std::string split_evaluation_json(const SplitEvaluation& s) {
  Json j = {{"format", "dura evaluation 1"},
            {"complete", s.complete()},
            {"split", s.split},
            {"model", {{"file", s.model}, {"sha256", s.model_sha256}}},
            {"manifest", {{"file", s.manifest}, {"sha256", s.manifest_sha256}}},
            {"device", s.device},
            {"precision", s.precision},
            {"allowed_leaks", s.allowed_leaks},
            {"classes", s.classes},
            {"rare_class", s.classes[static_cast<size_t>(s.rare)]},
            {"decision", decision_json(s)},
            {"temperature", s.temperature ? temperature_json(s) : Json(nullptr)}};
  if (s.complete()) {
    j["bootstrap"] = {{"units", s.units},
                      {"count", s.unit_count},
                      {"resamples", s.bootstrap.resamples},
                      {"seed", s.bootstrap.seed},
                      {"level", s.bootstrap.level}};
    j["bad_pictures"] = Json::array();
    for (const BadImage& b : s.bad_pictures) j["bad_pictures"].push_back({{"file", b.file}, {"reason", b.reason}});
    for (const Evaluation& e : s.results) j["results"].push_back(result_json(e));
    j["test_time_augmentation"] = Json(nullptr);
    if (s.views)
      j["test_time_augmentation"] = {{"views", s.views->views},
                                     {"mean_spread", json_number(s.views->mean_spread)},
                                     {"largest_spread", json_number(s.views->largest_spread)},
                                     {"decisions_changed", s.views->decisions_changed}};
    if (s.errors) j["errors"] = errors_json(*s.errors, s);
  }
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace dura
