#include "apps/metrics/risk_coverage.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/base/check.h"

namespace dura {

RiskCoverage::RiskCoverage(const std::vector<double>& confidence, const std::vector<bool>& right) : area_(NAN) {
  DURA_CHECK(confidence.size() == right.size(), "risk and coverage: ", confidence.size(), " confidences for ", right.size(), " answers");
  if (confidence.empty() || std::any_of(confidence.begin(), confidence.end(), [](double c) { return std::isnan(c); })) return;
  std::vector<size_t> order(confidence.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return confidence[a] > confidence[b]; });
  const auto rows = static_cast<double>(order.size());
  double wrong = 0, before = 0;
  area_ = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    wrong += !right[order[i]];
    const double threshold = confidence[order[i]];
    if (i + 1 < order.size() && confidence[order[i + 1]] == threshold) continue;
    const auto answered = static_cast<double>(i + 1);
    points_.push_back({threshold, answered / rows, wrong / answered});
    area_ += points_.back().risk * (answered - before) / rows;
    before = answered;
  }
}

CoveragePoint RiskCoverage::at(double coverage) const {
  DURA_CHECK(!points_.empty(), "no confidence can be chosen: there are no answers, or they are not finite. The model has diverged.");
  for (const CoveragePoint& p : points_)
    if (p.coverage >= coverage) return p;
  return points_.back();
}

}  // namespace dura
