// When a classifier may say "I do not know": how its error falls when it answers only where it is sure (El-Yaniv and Wiener 2010;
// Geifman and El-Yaniv 2017).
#pragma once
#include <cstdint>
#include <vector>

namespace dura {

// What "answered where confidence >= threshold" gives.
struct CoveragePoint {
  double threshold = 0;  // a confidence that occurs
  double coverage = 0;   // share of the rows that are answered
  double risk = 0;       // share of wrong answers among them
};

class RiskCoverage {
 public:
  // Points by falling threshold, one for each distinct confidence. Empty where a confidence is NaN: a network that has diverged is sure of
  // nothing.
  RiskCoverage(const std::vector<double>& confidence, const std::vector<bool>& right);

  const std::vector<CoveragePoint>& points() const { return points_; }
  // Mean risk over all coverages, in steps of one row; rows of equal confidence share the risk at their end. NaN for no rows.
  double area() const { return area_; }
  // The point of the highest threshold that answers at least the share `coverage` of the rows. Error where there is no point.
  CoveragePoint at(double coverage) const;

 private:
  std::vector<CoveragePoint> points_;
  double area_ = 0;
};

}  // namespace dura
