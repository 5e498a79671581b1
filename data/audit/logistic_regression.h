// Two-class logistic regression with an L2 penalty: the judge of whether simple numbers give the class away. Features are standardised with
// the training rows' mean and deviation, both classes weigh the same, and Newton's method goes to the optimum (Hastie, Tibshirani and
// Friedman, "The Elements of Statistical Learning", section 4.4.1).
#pragma once
#include <cstddef>
#include <vector>

namespace dura {

class LogisticRegression {
 public:
  using Row = std::vector<double>;  // the features of one sample, as many in every row

  // labels are 0 or 1. `penalty` multiplies half the squared norm of the weights, where the rows' losses are averaged. Throws Error where
  // one of the classes has no row.
  LogisticRegression(const std::vector<Row>& rows, const std::vector<int>& labels, double penalty);

  double score(const Row& row) const;  // log odds of class 1 against class 0
  // Of the standardised features, so that their sizes can be compared; the intercept stands last.
  const Row& weights() const { return weights_; }

 private:
  Row standardised(const Row& row) const;  // with a last column of 1 for the intercept

  Row mean_, scale_, weights_;
};

}  // namespace dura
