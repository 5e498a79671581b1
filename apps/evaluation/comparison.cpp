#include "apps/evaluation/comparison.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/program/decimals.h"
#include "apps/program/text_table.h"
#include "apps/program/json_values.h"
#include "apps/metrics/score_curve.h"
#include "engine/base/check.h"

namespace dura {
namespace {

double ratio(double a, double b) { return b == 0 ? std::numeric_limits<double>::quiet_NaN() : a / b; }

// What of a table does not change from one resample to the next.
struct Answers {
  explicit Answers(const PredictionTable& table) : rows(table.rows) {
    for (size_t c = 0; c < table.classes.size(); ++c) positive.push_back(table.positives(c)), score.push_back(table.scores(c));
  }

  // Accuracy, then F1 and AUC of each class, of rows that count `counts` times each.
  std::vector<double> scores(const std::vector<double>& counts) const {
    double right = 0, total = 0;
    for (size_t i = 0; i < rows.size(); ++i) right += rows[i].label == rows[i].predicted ? counts[i] : 0, total += counts[i];
    std::vector<double> values = {ratio(right, total)};
    for (size_t c = 0; c < positive.size(); ++c) {
      double found = 0, called = 0, support = 0;
      for (size_t i = 0; i < rows.size(); ++i) {
        const bool is = positive[c][i], named = rows[i].predicted == static_cast<int32_t>(c);
        found += is && named ? counts[i] : 0;
        called += named ? counts[i] : 0;
        support += is ? counts[i] : 0;
      }
      values.push_back(ratio(2 * found, called + support));
      values.push_back(ScoreCurve(positive[c], score[c], counts).roc_auc());
    }
    return values;
  }

  std::vector<bool> right() const {
    std::vector<bool> all;
    for (const PredictionRow& r : rows) all.push_back(r.label == r.predicted);
    return all;
  }

  const std::vector<PredictionRow>& rows;
  std::vector<std::vector<bool>> positive;
  std::vector<std::vector<double>> score;
};

std::string signed_number(double v) { return v >= 0 ? "+" + fixed(v, 3) : fixed(v, 3); }

std::string verdict(const ScoreDifference& d) {
  if (!std::isfinite(d.interval.low)) return "no interval";
  if (!d.clear()) return "not clear: the interval holds 0";
  return d.interval.low > 0 ? "B is higher" : "B is lower";
}

std::string p_text(double p) { return p < 0.0001 ? "below 0.0001" : fixed(p, 4); }

}  // namespace

Comparison compare_predictions(const PredictionTable& a, const PredictionTable& b, const BootstrapOptions& options) {
  const PredictionTable matched = matched_to(a, b);
  const Answers first(a), second(matched);
  Comparison c{.a = a.name,
               .b = b.name,
               .unit = a.patients > 0 ? "patients" : "groups or pictures",
               .mcnemar = {},
               .differences = {},
               .bootstrap = options};
  c.pictures = static_cast<int64_t>(a.rows.size());
  if (a.patients > 0 && a.patients < c.pictures) c.unit = "patients, and groups or pictures where the patient is not known";
  c.mcnemar = mcnemar(first.right(), second.right());

  std::vector<std::string> names = {"accuracy"};
  for (const std::string& k : a.classes) names.insert(names.end(), {"F1 " + k, "ROC AUC " + k});
  const Bootstrap bootstrap(a.units(), options);
  c.units = bootstrap.units();
  const auto differences = [&](const std::vector<double>& counts) {
    std::vector<double> values = second.scores(counts);
    const std::vector<double> base = first.scores(counts);
    for (size_t s = 0; s < values.size(); ++s) values[s] -= base[s];
    return values;
  };
  const std::vector<Interval> intervals = bootstrap.intervals(names.size(), differences);
  const std::vector<double> once(a.rows.size(), 1.0), of_a = first.scores(once), of_b = second.scores(once);
  for (size_t s = 0; s < names.size(); ++s) c.differences.push_back({names[s], of_a[s], of_b[s], of_b[s] - of_a[s], intervals[s]});
  return c;
}

std::string comparison_text(const Comparison& c) {
  const McNemar& m = c.mcnemar;
  const int64_t apart = m.only_a_right + m.only_b_right;
  std::string text =
      concat("A: ", c.a, "\nB: ", c.b, "\nThe same ", c.pictures, " pictures of ", c.units, " ", c.unit, ".\n\nDecisions:\n");
  text += text_table({{"", "B right", "B wrong"},
                      {"A right", std::to_string(m.both_right), std::to_string(m.only_a_right)},
                      {"A wrong", std::to_string(m.only_b_right), std::to_string(m.both_wrong)}});
  text += apart == 0
              ? std::string("  Both are right and wrong on the same pictures.\n")
              : concat("  McNemar's test: of ", apart, " pictures that only one gets right, A has ", m.only_a_right, " and B ",
                       m.only_b_right, "; p = ", p_text(m.p_value), " (exact, two-sided).\n",
                       "  It counts every picture as independent. Where patients have several, p is too small: the intervals below are by ",
                       c.unit, ".\n");
  std::vector<std::vector<std::string>> lines = {{"score", "A", "B", "B - A", "95 % interval", ""}};
  for (const ScoreDifference& d : c.differences)
    lines.push_back(
        {d.score, fixed(d.a, 3), fixed(d.b, 3), signed_number(d.difference),
         std::isfinite(d.interval.low) ? concat("[", signed_number(d.interval.low), ", ", signed_number(d.interval.high), "]") : "-",
         verdict(d)});
  text += "\nScores:\n" + text_table(lines);
  text += c.units < 2
              ? concat("  No intervals: they are drawn over ", c.unit, ", and there is one only.\n")
              : concat("  ", c.bootstrap.resamples, " bootstrap resamples of ", c.unit, ", the same for A and B. -: not defined.\n");
  return text;
}

std::string comparison_json(const Comparison& c) {
  nlohmann::ordered_json j = {{"format", "dura comparison 1"},
                              {"a", c.a},
                              {"b", c.b},
                              {"pictures", c.pictures},
                              {"mcnemar",
                               {{"both_right", c.mcnemar.both_right},
                                {"only_a_right", c.mcnemar.only_a_right},
                                {"only_b_right", c.mcnemar.only_b_right},
                                {"both_wrong", c.mcnemar.both_wrong},
                                {"p_value", c.mcnemar.p_value}}},
                              {"bootstrap",
                               {{"units", c.unit},
                                {"count", c.units},
                                {"resamples", c.bootstrap.resamples},
                                {"seed", c.bootstrap.seed},
                                {"level", c.bootstrap.level}}},
                              {"scores", nlohmann::ordered_json::array()}};
  for (const ScoreDifference& d : c.differences)
    j["scores"].push_back({{"name", d.score},
                           {"a", json_number(d.a)},
                           {"b", json_number(d.b)},
                           {"difference", json_number(d.difference)},
                           {"low", json_number(d.interval.low)},
                           {"high", json_number(d.interval.high)}});
  return j.dump(1) + "\n";
}

}  // namespace dura
