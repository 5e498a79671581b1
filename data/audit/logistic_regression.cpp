#include "data/audit/logistic_regression.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace dura {
namespace {

using Row = LogisticRegression::Row;

double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

// Cholesky's factorisation of the lower triangle, then two triangular solutions.
Row solve(std::vector<Row> a, Row b) {
  const size_t d = b.size();
  for (size_t j = 0; j < d; ++j)
    for (size_t i = j; i < d; ++i) {
      double sum = a[i][j];
      for (size_t k = 0; k < j; ++k) sum -= a[i][k] * a[j][k];
      a[i][j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / a[j][j];
    }
  for (size_t i = 0; i < d; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
  for (size_t i = d; i-- > 0;) {
    for (size_t k = i + 1; k < d; ++k) b[i] -= a[k][i] * b[k];
    b[i] /= a[i][i];
  }
  return b;
}

}  // namespace

LogisticRegression::LogisticRegression(const std::vector<Row>& rows, const std::vector<int>& labels, double penalty) {
  const size_t n = rows.size(), d = rows.at(0).size();
  mean_.assign(d, 0), scale_.assign(d, 0), weights_.assign(d + 1, 0);
  for (const Row& r : rows)
    for (size_t j = 0; j < d; ++j) mean_[j] += r[j] / static_cast<double>(n);
  for (const Row& r : rows)
    for (size_t j = 0; j < d; ++j) scale_[j] += (r[j] - mean_[j]) * (r[j] - mean_[j]) / static_cast<double>(n);
  for (double& s : scale_) s = s > 1e-12 ? 1 / std::sqrt(s) : 0;  // a constant column says nothing
  std::vector<Row> x;
  for (const Row& r : rows) x.push_back(standardised(r));
  const auto ones = static_cast<double>(std::count(labels.begin(), labels.end(), 1)), zeros = static_cast<double>(n) - ones;
  DURA_CHECK(ones > 0 && zeros > 0, "a logistic regression needs rows of both classes");

  for (int step = 0; step < 25; ++step) {
    Row gradient(d + 1, 0);
    std::vector<Row> hessian(d + 1, Row(d + 1, 0));
    for (size_t i = 0; i < n; ++i) {
      const double weight = 0.5 / (labels[i] ? ones : zeros), p = 1 / (1 + std::exp(-dot(x[i], weights_)));
      for (size_t j = 0; j <= d; ++j) {
        gradient[j] += weight * (p - labels[i]) * x[i][j];
        const double h = weight * p * (1 - p) * x[i][j];
        for (size_t k = 0; k <= j; ++k) hessian[j][k] += h * x[i][k];
      }
    }
    for (size_t j = 0; j <= d; ++j) hessian[j][j] += j < d ? penalty : 1e-9;
    for (size_t j = 0; j < d; ++j) gradient[j] += penalty * weights_[j];
    const Row change = solve(std::move(hessian), std::move(gradient));
    // A full step can overshoot far from the optimum; its length is bounded instead of searched for.
    double largest = 0;
    for (double c : change) largest = std::max(largest, std::abs(c));
    for (size_t j = 0; j <= d; ++j) weights_[j] -= change[j] * std::min(1.0, 2 / largest);
    if (largest < 1e-6) break;
  }
}

double LogisticRegression::score(const Row& row) const { return dot(standardised(row), weights_); }

LogisticRegression::Row LogisticRegression::standardised(const Row& row) const {
  Row r(row.size() + 1, 1);
  for (size_t j = 0; j < row.size(); ++j) r[j] = (row[j] - mean_[j]) * scale_[j];
  return r;
}

}  // namespace dura
