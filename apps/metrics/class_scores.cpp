#include "apps/metrics/class_scores.h"

namespace dura {

Decided::Decided(const std::vector<int32_t>& true_labels, const std::vector<int32_t>& decisions, const std::vector<double>& probabilities,
                 int64_t class_count)
    : labels(true_labels), decided(decisions) {
  for (int64_t c = 0; c < class_count; ++c) classes.emplace_back(labels, probabilities, class_count, c);
}

CountedScores counted_scores(const Decided& rows, const std::vector<double>& counts) {
  CountedScores scores;
  double right = 0, total = 0;
  for (size_t i = 0; i < counts.size(); ++i) right += rows.decided[i] == rows.labels[i] ? counts[i] : 0, total += counts[i];
  scores.accuracy = ratio(right, total);
  for (size_t c = 0; c < rows.classes.size(); ++c) {
    double found = 0, called = 0, support = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      const bool is = rows.classes[c].positive[i], named = rows.decided[i] == static_cast<int32_t>(c);
      found += is && named ? counts[i] : 0;
      called += named ? counts[i] : 0;
      support += is ? counts[i] : 0;
    }
    scores.classes.push_back({.precision = ratio(found, called),
                              .recall = ratio(found, support),
                              .f1 = ratio(2 * found, called + support),
                              .auc = rows.classes[c].curve(counts).roc_auc()});
  }
  return scores;
}

}  // namespace dura
