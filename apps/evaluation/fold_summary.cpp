#include "apps/evaluation/fold_summary.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/program/text_table.h"
#include "apps/program/json_values.h"
#include "apps/metrics/class_scores.h"
#include "engine/base/check.h"

namespace dura {
namespace {

using Json = nlohmann::ordered_json;

// A score stands alone or with its interval, {"value", "low", "high"}; null is not defined.
double score_of(const Json& j) { return number(j.is_object() ? j.at("value") : j); }

const Json& result_named(const Json& evaluation, const std::string& title, const std::string& name) {
  for (const Json& r : evaluation.at("results"))
    if (r.at("title") == title) return r;
  fail_usage(name, " has no result '", title, "'");
}

FoldScore summarised(const std::string& score, const std::vector<double>& values) {
  FoldScore s{.score = score, .values = values, .mean = NAN, .spread = NAN, .low = NAN, .high = NAN};
  double sum = 0, squares = 0;
  for (const double v : values) {
    if (std::isnan(v)) continue;
    sum += v;
    s.low = s.defined ? std::min(s.low, v) : v;
    s.high = s.defined ? std::max(s.high, v) : v;
    ++s.defined;
  }
  if (s.defined == 0) return s;
  s.mean = sum / static_cast<double>(s.defined);
  for (const double v : values) squares += std::isnan(v) ? 0 : (v - s.mean) * (v - s.mean);
  if (s.defined > 1) s.spread = std::sqrt(squares / static_cast<double>(s.defined - 1));
  return s;
}

// What of one file is summed up: one value per score, and the confusion matrix.
struct Fold {
  std::string split, rule;
  std::vector<std::string> classes, scores;
  std::vector<double> values;
  Confusion confusion = Confusion(0);
};

Fold read_fold(const FoldFile& file, const std::string& result) {
  const Json j = Json::parse(file.json);
  DURA_CHECK(j.at("format") == "dura evaluation 1", "the format is ", j.at("format").dump());
  if (!j.at("complete").get<bool>()) fail_usage(file.name, " is not complete: its evaluation was interrupted. Run dura-evaluate again.");
  const Json& r = result_named(j, result, file.name);
  Fold fold{.split = j.at("split"), .rule = j.at("decision").at("rule"), .classes = j.at("classes"), .scores = {}, .values = {}};
  const auto add = [&](const std::string& name, const Json& value) { fold.scores.push_back(name), fold.values.push_back(score_of(value)); };
  add("accuracy", r.at("accuracy"));
  add("balanced accuracy", r.at("balanced_accuracy"));
  add("log loss", r.at("log_loss"));
  add("calibration error", r.at("calibration_error"));
  fold.confusion = Confusion(static_cast<int64_t>(fold.classes.size()));
  DURA_CHECK(r.at("classes").size() == fold.classes.size(), r.at("classes").size(), " rows for ", fold.classes.size(), " classes");
  for (size_t c = 0; c < fold.classes.size(); ++c) {
    const Json& row = r.at("classes").at(c);
    for (const ClassScore& score : class_scores) add(concat(score.title, " ", fold.classes[c]), row.at(score.key));
    for (size_t k = 0; k < fold.classes.size(); ++k)
      fold.confusion.add(static_cast<int32_t>(c), static_cast<int32_t>(k), row.at("predicted").at(fold.classes[k]).get<int64_t>());
  }
  return fold;
}

}  // namespace

FoldSummary summarise_folds(const std::vector<FoldFile>& files, const std::string& result) {
  if (files.size() < 2) fail_usage("folds: ", files.size(), " evaluation, at least two are needed for a spread");
  std::vector<Fold> folds;
  FoldSummary s;
  s.result = result;
  for (const FoldFile& file : files) {
    try {
      folds.push_back(read_fold(file, result));
    } catch (const nlohmann::json::exception& e) {
      fail(file.name, ": this is no evaluation_<split>.json that dura-evaluate wrote, or it is damaged (", e.what(), ")");
    }
    if (folds.back().classes != folds[0].classes) fail_usage(file.name, " has other classes than ", files[0].name);
    if (folds.back().split != folds[0].split)
      fail_usage(file.name, " is about the split ", folds.back().split, ", ", files[0].name, " about ", folds[0].split);
    if (folds.back().rule != folds[0].rule)
      fail_usage(file.name, " has the threshold rule ", folds.back().rule, ", ", files[0].name, " has ", folds[0].rule,
                 ". One design must be the same in all folds.");
    for (size_t i = 0; i < s.folds.size(); ++i)
      if (files[i].json == file.json) fail_usage(file.name, " says the same as ", files[i].name, ": one fold would count twice");
    s.folds.push_back(file.name);
  }
  s.classes = folds[0].classes;
  for (size_t k = 0; k < folds[0].scores.size(); ++k) {
    std::vector<double> values;
    for (const Fold& fold : folds) values.push_back(fold.values[k]);
    s.scores.push_back(summarised(folds[0].scores[k], values));
  }
  s.pooled = Confusion(static_cast<int64_t>(s.classes.size()));
  for (const Fold& fold : folds)
    for (int32_t i = 0; i < s.pooled.classes(); ++i)
      for (int32_t k = 0; k < s.pooled.classes(); ++k) s.pooled.add(i, k, fold.confusion.count(i, k));
  return s;
}

std::string fold_summary_text(const FoldSummary& s) {
  Table lines = {{concat(s.folds.size(), " folds, ", s.result), "mean", "spread", "lowest", "highest", "folds"}};
  for (const FoldScore& f : s.scores)
    lines.push_back({f.score, fixed(f.mean), fixed(f.spread), fixed(f.low), fixed(f.high), std::to_string(f.defined)});
  std::string text = text_table(lines) + "  spread: standard deviation from fold to fold; folds: in how many the score is defined.\n\n";
  lines = {{"all folds together", "precision", "recall", "F1"}};
  for (const std::string& c : s.classes) lines[0].push_back("decided " + c);
  for (size_t i = 0; i < s.classes.size(); ++i) {
    const auto c = static_cast<int64_t>(i);
    lines.push_back({s.classes[i], fixed(s.pooled.precision(c)), fixed(s.pooled.recall(c)), fixed(s.pooled.f1(c))});
    for (int64_t k = 0; k < s.pooled.classes(); ++k) lines.back().push_back(std::to_string(s.pooled.count(c, k)));
  }
  return text + text_table(lines) + concat("  accuracy of all folds together ", fixed(s.pooled.accuracy()), "\n");
}

std::string fold_summary_json(const FoldSummary& s) {
  Json j = {{"format", "dura folds 1"}, {"folds", s.folds}, {"result", s.result}, {"classes", s.classes}, {"scores", Json::array()}};
  for (const FoldScore& f : s.scores) {
    j["scores"].push_back({{"name", f.score},
                           {"mean", f.mean},
                           {"spread", f.spread},
                           {"low", f.low},
                           {"high", f.high},
                           {"defined", f.defined},
                           {"values", f.values}});
  }
  j["pooled"] = {{"pictures", s.pooled.total()}, {"accuracy", s.pooled.accuracy()}, {"classes", Json::array()}};
  for (size_t i = 0; i < s.classes.size(); ++i) {
    const auto c = static_cast<int64_t>(i);
    Json row = {{"name", s.classes[i]},
                {"pictures", s.pooled.support(c)},
                {"precision", s.pooled.precision(c)},
                {"recall", s.pooled.recall(c)},
                {"f1", s.pooled.f1(c)}};
    for (size_t k = 0; k < s.classes.size(); ++k) row["predicted"][s.classes[k]] = s.pooled.count(c, static_cast<int64_t>(k));
    j["pooled"]["classes"].push_back(std::move(row));
  }
  return j.dump(1) + "\n";
}

}  // namespace dura
