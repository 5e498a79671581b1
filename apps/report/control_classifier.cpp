#include "apps/report/control_classifier.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/metrics/metrics.h"
#include "apps/metrics/score_curve.h"
#include "apps/program/text_table.h"
#include "data/audit/logistic_regression.h"

namespace dura {
namespace {

using Row = LogisticRegression::Row;

// Enough to keep weights finite where a statistic separates the classes, little enough not to hide that it does.
constexpr double penalty = 0.01;

Row as_row(const PictureStatistics& statistics) { return Row(statistics.begin(), statistics.end()); }

LogisticRegression fit_class(const ControlData& train, int32_t label, const std::string& name) {
  std::vector<Row> rows;
  std::vector<int> labels;
  for (size_t i = 0; i < train.labels.size(); ++i) rows.push_back(as_row(train.statistics[i])), labels.push_back(train.labels[i] == label);
  const int64_t ones = std::count(labels.begin(), labels.end(), 1);
  DURA_CHECK(ones > 0 && ones < static_cast<int64_t>(labels.size()), "the control classifier needs training slices of every class; of ",
             name, " there are ", ones, " of ", labels.size());
  return LogisticRegression(rows, labels, penalty);
}

ControlScore score_split(Split split, const ControlData& data, const std::vector<LogisticRegression>& models, int32_t rare) {
  Confusion confusion(static_cast<int64_t>(models.size()));
  std::vector<bool> positive;
  std::vector<double> odds_of_rare;
  for (size_t i = 0; i < data.labels.size(); ++i) {
    std::vector<double> odds;
    for (const LogisticRegression& m : models) odds.push_back(m.score(as_row(data.statistics[i])));
    confusion.add(data.labels[i], static_cast<int32_t>(std::max_element(odds.begin(), odds.end()) - odds.begin()));
    positive.push_back(data.labels[i] == rare);
    odds_of_rare.push_back(odds[static_cast<size_t>(rare)]);
  }
  return {.split = split,
          .slices = confusion.total(),
          .balanced_accuracy = confusion.balanced_accuracy(),
          .auc = ScoreCurve(positive, odds_of_rare).roc_auc(),
          .f1 = confusion.f1(rare)};
}

}  // namespace

ControlReport control_classifier(const std::array<ControlData, 3>& data, const std::vector<std::string>& classes) {
  const ControlData& train = data[static_cast<size_t>(Split::train)];
  std::vector<LogisticRegression> models;
  std::vector<int64_t> counts;
  for (size_t c = 0; c < classes.size(); ++c) {
    models.push_back(fit_class(train, static_cast<int32_t>(c), classes[c]));
    counts.push_back(std::count(train.labels.begin(), train.labels.end(), static_cast<int32_t>(c)));
  }
  const auto rare = static_cast<size_t>(std::min_element(counts.begin(), counts.end()) - counts.begin());
  ControlReport report{.rare_class = classes[rare], .scores = {}, .weights = {}};
  for (Split split : all_splits)
    if (const ControlData& d = data[static_cast<size_t>(split)]; !d.labels.empty())
      report.scores.push_back(score_split(split, d, models, static_cast<int32_t>(rare)));
  for (size_t j = 0; j < picture_statistic_names.size(); ++j)
    report.weights.emplace_back(picture_statistic_names[j], models[rare].weights()[j]);
  std::stable_sort(report.weights.begin(), report.weights.end(),
                   [](const auto& a, const auto& b) { return std::abs(a.second) > std::abs(b.second); });
  return report;
}

std::array<ControlData, 3> control_data(const DataSurvey& survey, const Manifest& manifest, const ClassNames& classes) {
  std::array<ControlData, 3> data;
  for (const SliceSurvey& slice : survey.readable) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(slice.row)];
    const std::optional<Split> split = parse_split(row.split);
    const std::optional<int32_t> label = classes.find(row.label);
    if (!split || !label) continue;
    ControlData& mine = data[static_cast<size_t>(*split)];
    mine.statistics.push_back(slice.statistics);
    mine.labels.push_back(*label);
  }
  return data;
}

std::string control_text(const ControlReport& report) {
  std::string text = concat("control: logistic regression on ", picture_statistic_names.size(), " simple statistics of the picture\n");
  Table table = {{"split", "slices", "balanced accuracy", "AUC", "F1 of " + report.rare_class}};
  for (const ControlScore& s : report.scores)
    table.push_back({split_name(s.split), std::to_string(s.slices), fixed(s.balanced_accuracy), fixed(s.auc), fixed(s.f1)});
  text += text_table(table);
  text += concat("  weighs most in favour of ", report.rare_class, ":");
  for (size_t j = 0; j < std::min<size_t>(5, report.weights.size()); ++j)
    text += (j ? ", " : " ") + report.weights[j].first + printed(" %+.2f", report.weights[j].second);
  return text + "\n";
}

std::string control_json(const ControlReport& report) {
  using nlohmann::ordered_json;
  ordered_json out = {{"format", "dura control 1"},
                      {"what", "logistic regression on simple statistics of the picture, fitted on train"},
                      {"rare_class", report.rare_class},
                      {"scores", ordered_json::array()},
                      {"weights", ordered_json::array()}};
  for (const ControlScore& s : report.scores)
    out["scores"].push_back(
        {{"split", split_name(s.split)}, {"slices", s.slices}, {"balanced_accuracy", s.balanced_accuracy}, {"auc", s.auc}, {"f1", s.f1}});
  for (const auto& [name, weight] : report.weights) out["weights"].push_back({{"statistic", name}, {"weight", weight}});
  return out.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace dura
