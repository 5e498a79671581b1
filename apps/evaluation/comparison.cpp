#include "apps/evaluation/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/metrics/class_scores.h"
#include "apps/program/text_table.h"
#include "data/set/csv.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace dura {

namespace {

constexpr uint64_t max_bytes = uint64_t{256} << 20;

int32_t class_index(const std::vector<std::string>& classes, const std::string& label, const std::string& where) {
  const auto it = std::find(classes.begin(), classes.end(), label);
  DURA_CHECK(it != classes.end(), where, ": '", label, "' is none of the classes that have a column p_<class>");
  return static_cast<int32_t>(it - classes.begin());
}

double parse_probability(const std::string& text, const std::string& where) {
  const double value = parse_number(text).value_or(-1);
  DURA_CHECK(value >= 0 && value <= 1, where, ": a probability is '", text,
             "', expected a number from 0 to 1. A '-' is what a diverged model answers.");
  return value;
}

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

PredictionTable parse_predictions(const std::string& text, const std::string& name) {
  const CsvTable csv = parse_csv(text, name);
  PredictionTable table;
  table.name = name;
  const auto required = [&](const char* column) { return csv.column(column, "Give a predictions_<split>.csv that dura-evaluate wrote."); };
  const size_t file = required("file"), label = required("label"), predicted = required("predicted");
  const std::optional<size_t> patient = csv.find("patient"), group = csv.find("group"), variant = csv.find("variant");
  std::vector<size_t> probability;
  for (size_t c = 0; c < csv.header.size(); ++c)
    if (csv.header[c].starts_with("p_")) probability.push_back(c), table.classes.push_back(csv.header[c].substr(2));
  DURA_CHECK(table.classes.size() >= 2, name, ": ", table.classes.size(), " columns p_<class>, expected two at least");
  DURA_CHECK(!csv.rows.empty(), name, ": there are no rows, only the names of the columns");
  std::map<std::string, int64_t> line_of;
  for (const CsvRow& row : csv.rows) {
    const std::string where = concat(name, " line ", row.line);
    const auto field = [&](const std::optional<size_t>& column) { return column ? row.fields[*column] : std::string(); };
    table.labels.push_back(class_index(table.classes, row.fields[label], where));
    table.decided.push_back(class_index(table.classes, row.fields[predicted], where));
    std::string picture = row.fields[file];
    if (const std::string v = field(variant); !v.empty() && v != "0" && v != "untouched") picture += "#" + v;
    // Prefixes, because a patient's number may be another's group.
    table.units.push_back(!field(patient).empty() ? "patient " + field(patient)
                          : !field(group).empty() ? "group " + field(group)
                                                  : "picture " + row.fields[file]);
    table.patients += !field(patient).empty();
    const auto [it, fresh] = line_of.emplace(picture, row.line);
    DURA_CHECK(fresh, where, ": ", picture, " stands on line ", it->second, " already");
    for (const size_t c : probability) table.probabilities.push_back(parse_probability(row.fields[c], where));
    table.pictures.push_back(std::move(picture));
  }
  return table;
}

PredictionTable read_predictions(const std::string& file) { return parse_predictions(read_text_file(file, max_bytes), file); }

PredictionTable matched_to(const PredictionTable& a, const PredictionTable& b) {
  const char* advice = ". Runs can be compared on the same test set only: evaluate both with the same manifest and split.";
  if (a.classes != b.classes)
    fail_usage(a.name, " has the classes ", joined(a.classes, ", "), ", ", b.name, " has ", joined(b.classes, ", "), " (order counts)",
               advice);
  std::map<std::string, size_t> place;
  for (size_t k = 0; k < b.rows(); ++k) place[b.pictures[k]] = k;
  const auto missing = [&](const std::string& picture, const PredictionTable& in, const PredictionTable& not_in) {
    fail_usage("different test sets: ", picture, " is in ", in.name, " (", in.rows(), " pictures), not in ", not_in.name, " (",
               not_in.rows(), ")", advice);
  };
  PredictionTable sorted = a;
  sorted.name = b.name, sorted.patients = b.patients;
  for (size_t i = 0; i < a.rows(); ++i) {
    const std::string& picture = a.pictures[i];
    const auto it = place.find(picture);
    if (it == place.end()) missing(picture, a, b);
    const size_t k = it->second;
    if (b.labels[k] != a.labels[i])
      fail_usage("different labels: ", picture, " is ", a.classes[static_cast<size_t>(a.labels[i])], " in ", a.name, ", ",
                 b.classes[static_cast<size_t>(b.labels[k])], " in ", b.name, advice);
    if (b.units[k] != a.units[i])
      fail_usage("different patients: ", picture, " belongs to ", a.units[i], " in ", a.name, ", to ", b.units[k], " in ", b.name, advice);
    sorted.decided[i] = b.decided[k];
    const size_t classes = b.classes.size();
    std::copy_n(b.probabilities.begin() + static_cast<std::ptrdiff_t>(k * classes), classes,
                sorted.probabilities.begin() + static_cast<std::ptrdiff_t>(i * classes));
    place.erase(it);
  }
  if (!place.empty()) missing(place.begin()->first, b, a);
  return sorted;
}

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
