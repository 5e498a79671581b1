#include "apps/evaluation/evaluation.h"

#include <algorithm>
#include <limits>
#include <set>

#include "apps/program/decimals.h"
#include "data/set/csv.h"

namespace dura {
namespace {

constexpr double not_defined = std::numeric_limits<double>::quiet_NaN();
constexpr size_t intervals_per_class = 4;

double ratio(double a, double b) { return b == 0 ? not_defined : a / b; }

// The scores that get intervals, of rows that count `counts` times each: precision, recall, F1 and AUC of each class, then accuracy.
std::vector<double> counted_scores(const std::vector<double>& counts, const Predictions& p, const std::vector<int32_t>& decided,
                                   const std::vector<OneAgainstRest>& classes) {
  std::vector<double> values;
  double right = 0, total = 0;
  for (size_t i = 0; i < counts.size(); ++i) right += decided[i] == p.labels[i] ? counts[i] : 0, total += counts[i];
  for (size_t c = 0; c < classes.size(); ++c) {
    double found = 0, predicted = 0, support = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      const bool is = classes[c].positive[i], called = decided[i] == static_cast<int32_t>(c);
      found += is && called ? counts[i] : 0;
      predicted += called ? counts[i] : 0;
      support += is ? counts[i] : 0;
    }
    values.insert(values.end(), {ratio(found, predicted), ratio(found, support), ratio(2 * found, predicted + support),
                                 ScoreCurve(classes[c].positive, classes[c].score, counts).roc_auc()});
  }
  values.push_back(ratio(right, total));
  return values;
}

}  // namespace

BootstrapUnits bootstrap_units(const Predictions& predictions, const Dataset& dataset, const Manifest& manifest) {
  BootstrapUnits units;
  std::set<std::string> kinds;
  for (const int64_t sample : predictions.samples) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(dataset.sample(sample).row)];
    const char* kind = !row.patient.empty() ? "patients" : !row.group.empty() ? "groups" : "pictures";
    units.names.push_back(concat(kind, ":", !row.patient.empty() ? row.patient : !row.group.empty() ? row.group : row.file));
    kinds.insert(kind);
  }
  for (const char* kind : {"patients", "groups", "pictures"})
    if (kinds.count(kind)) units.kind += (units.kind.empty() ? "" : " and ") + std::string(kind);
  return units;
}

std::vector<ReliabilityBin> confidence_bins(const Predictions& p) {
  const std::vector<int32_t> most_probable = argmax_rows(p.probabilities, p.classes);
  std::vector<bool> right;
  std::vector<double> confidence;
  for (size_t i = 0; i < p.labels.size(); ++i) {
    right.push_back(most_probable[i] == p.labels[i]);
    confidence.push_back(p.probabilities[i * static_cast<size_t>(p.classes) + static_cast<size_t>(most_probable[i])]);
  }
  return reliability_bins(right, confidence);
}

Evaluation evaluate(const Predictions& p, const std::vector<std::string>& classes, const std::string& title, const Decision& decision,
                    const Bootstrap& bootstrap) {
  Evaluation e;
  e.title = title;
  const std::vector<int32_t> decided = decision.classes(p.probabilities, p.classes),
                             most_probable = argmax_rows(p.probabilities, p.classes);
  e.confusion = confusion_of(p.labels, decided, p.classes);
  e.accuracy = e.confusion.accuracy();
  e.balanced_accuracy = e.confusion.balanced_accuracy();
  e.log_loss = log_loss(p.labels, p.logits, p.classes);

  e.reliability = confidence_bins(p);
  e.calibration_error = expected_calibration_error(e.reliability);

  std::vector<OneAgainstRest> each;
  for (int64_t c = 0; c < p.classes; ++c) each.push_back(one_against_rest(p, c));
  const std::vector<Interval> intervals = bootstrap.intervals(
      each.size() * intervals_per_class + 1, [&](const std::vector<double>& counts) { return counted_scores(counts, p, decided, each); });
  e.accuracy_interval = intervals.back();
  for (int64_t c = 0; c < p.classes; ++c) {
    const auto k = static_cast<size_t>(c);
    const Interval* of_class = &intervals[k * intervals_per_class];
    const ScoreCurve curve(each[k].positive, each[k].score);
    e.classes.push_back({.name = classes[k],
                         .support = e.confusion.support(c),
                         .precision = e.confusion.precision(c),
                         .recall = e.confusion.recall(c),
                         .f1 = e.confusion.f1(c),
                         .auc = curve.roc_auc(),
                         .average_precision = curve.average_precision(),
                         .brier = brier_score(each[k].positive, each[k].score),
                         .precision_interval = of_class[0],
                         .recall_interval = of_class[1],
                         .f1_interval = of_class[2],
                         .auc_interval = of_class[3],
                         .curve = curve,
                         .reliability = reliability_bins(each[k].positive, each[k].score)});
  }
  return e;
}

std::string predictions_csv(const Predictions& p, const Decision& decision, const Dataset& dataset, const Manifest& manifest,
                            const std::vector<std::string>& classes, const PredictedSet& set) {
  std::vector<std::string> header = {"file", "label", "predicted", "correct"};
  for (const std::string& c : classes) header.push_back("p_" + c);
  header.insert(header.end(), {"patient", "split", "variant"});
  std::string text = format_csv_row(header);
  const std::vector<int32_t> predicted = decision.classes(p.probabilities, p.classes);
  for (size_t i = 0; i < p.labels.size(); ++i) {
    const Sample& s = dataset.sample(p.samples[i]);
    std::vector<std::string> row = {s.file, classes[static_cast<size_t>(p.labels[i])], classes[static_cast<size_t>(predicted[i])],
                                    p.labels[i] == predicted[i] ? "1" : "0"};
    for (int64_t c = 0; c < p.classes; ++c)
      row.push_back(fixed(p.probabilities[i * static_cast<size_t>(p.classes) + static_cast<size_t>(c)], 9));
    row.insert(row.end(), {manifest.rows[static_cast<size_t>(s.row)].patient, set.split, set.variant});
    text += format_csv_row(row);
  }
  return text;
}

}  // namespace dura
