#include "apps/evaluation/comparison.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/program/text_table.h"
#include "apps/metrics/class_scores.h"
#include "engine/base/check.h"

namespace dura {
namespace {

// Accuracy, then F1 and AUC of each class.
std::vector<double> compared_scores(const Decided& rows, const std::vector<double>& counts) {
  const CountedScores scores = counted_scores(rows, counts);
  std::vector<double> values = {scores.accuracy};
  for (const CountedScores::Class& c : scores.classes) values.insert(values.end(), {c.f1, c.auc});
  return values;
}

std::vector<bool> right_answers(const Decided& rows) {
  std::vector<bool> right;
  for (size_t i = 0; i < rows.labels.size(); ++i) right.push_back(rows.labels[i] == rows.decided[i]);
  return right;
}

Decided decided(const PredictionTable& t) { return {t.labels, t.decided, t.probabilities, static_cast<int64_t>(t.classes.size())}; }

std::string signed_number(double v) { return v >= 0 ? "+" + fixed(v) : fixed(v); }

std::string verdict(const ScoreDifference& d) {
  if (!std::isfinite(d.interval.low)) return "no interval";
  if (!d.clear()) return "not clear: the interval holds 0";
  return d.interval.low > 0 ? "B is higher" : "B is lower";
}

std::string p_text(double p) { return p < 0.0001 ? "below 0.0001" : fixed(p, 4); }

}  // namespace

Comparison compare_predictions(const PredictionTable& a, const PredictionTable& b, const BootstrapOptions& options) {
  const Decided first = decided(a), second = decided(matched_to(a, b));
  Comparison c;
  c.a = a.name, c.b = b.name;
  c.bootstrap = options;
  c.pictures = static_cast<int64_t>(a.rows());
  c.unit = a.patients == 0           ? "groups or pictures"
           : a.patients < c.pictures ? "patients, and groups or pictures where the patient is not known"
                                     : "patients";
  c.mcnemar = mcnemar(right_answers(first), right_answers(second));

  std::vector<std::string> names = {"accuracy"};
  for (const std::string& k : a.classes) names.insert(names.end(), {"F1 " + k, "ROC AUC " + k});
  const Bootstrap bootstrap(a.units, options);
  c.units = bootstrap.units();
  const auto differences = [&](const std::vector<double>& counts) {
    std::vector<double> values = compared_scores(second, counts);
    const std::vector<double> base = compared_scores(first, counts);
    for (size_t s = 0; s < values.size(); ++s) values[s] -= base[s];
    return values;
  };
  const std::vector<Interval> intervals = bootstrap.intervals(names.size(), differences);
  const std::vector<double> once(a.rows(), 1.0), of_a = compared_scores(first, once), of_b = compared_scores(second, once);
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
  Table lines = {{"score", "A", "B", "B - A", "95 % interval", ""}};
  for (const ScoreDifference& d : c.differences)
    lines.push_back(
        {d.score, fixed(d.a), fixed(d.b), signed_number(d.difference),
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
    j["scores"].push_back(
        {{"name", d.score}, {"a", d.a}, {"b", d.b}, {"difference", d.difference}, {"low", d.interval.low}, {"high", d.interval.high}});
  return j.dump(1) + "\n";
}

}  // namespace dura
