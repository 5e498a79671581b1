#include "models/network/answer.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace dura {

namespace {

// sum_k exp(z_k) = sum * exp(largest), where no power overflows.
struct ExpSum {
  double largest, sum = 0;
  ExpSum(const double* row, int64_t classes) : largest(*std::max_element(row, row + classes)) {
    for (int64_t k = 0; k < classes; ++k) sum += std::exp(row[k] - largest);
  }
};

}  // namespace

std::vector<double> softmax_rows(const std::vector<double>& logits, int64_t classes) {
  std::vector<double> p;
  for (const double* row = logits.data(); row != logits.data() + logits.size(); row += classes) {
    const ExpSum e(row, classes);
    for (int64_t k = 0; k < classes; ++k) p.push_back(std::exp(row[k] - e.largest) / e.sum);
  }
  return p;
}

std::vector<double> log_sum_exp_rows(const std::vector<double>& logits, int64_t classes) {
  std::vector<double> logs;
  for (const double* row = logits.data(); row != logits.data() + logits.size(); row += classes) {
    const ExpSum e(row, classes);
    logs.push_back(std::log(e.sum) + e.largest);
  }
  return logs;
}

std::vector<int32_t> argmax_rows(const std::vector<double>& values, int64_t classes) {
  std::vector<int32_t> best;
  for (auto row = values.begin(); row != values.end(); row += classes)
    best.push_back(static_cast<int32_t>(std::max_element(row, row + classes) - row));
  return best;
}

Answer mean_answer(const std::vector<Answer>& answers) {
  DURA_CHECK(!answers.empty(), "the mean of no answers was asked for");
  std::vector<double> p(answers[0].probabilities.size());
  for (const Answer& a : answers) {
    DURA_CHECK(a.probabilities.size() == p.size(), "the mean of answers in ", p.size(), " and ", a.probabilities.size(),
               " classes was asked for");
    for (size_t c = 0; c < p.size(); ++c) p[c] += a.probabilities[c] / static_cast<double>(answers.size());
  }
  const auto best = std::max_element(p.begin(), p.end());
  return {.probabilities = p, .predicted = static_cast<int32_t>(best - p.begin()), .probability = *best};
}

double disagreement(const std::vector<Answer>& answers, int32_t c) {
  const auto of = [c](const Answer& a) { return a.probabilities.at(static_cast<size_t>(c)); };
  const auto count = static_cast<double>(answers.size());
  double mean = 0, squares = 0;
  for (const Answer& a : answers) mean += of(a) / count;
  for (const Answer& a : answers) squares += (of(a) - mean) * (of(a) - mean) / count;
  return std::sqrt(squares);
}

std::vector<Answer> answers_of(const Tensor& logits) {
  const int64_t classes = logits.shape()[1];
  const std::vector<double> p = softmax_rows(download_as_double(logits), classes);
  std::vector<Answer> answers;
  for (const int32_t predicted : argmax_rows(p, classes)) {
    const auto row = p.begin() + std::ssize(answers) * classes;
    answers.push_back({.probabilities = {row, row + classes}, .predicted = predicted, .probability = row[predicted]});
  }
  return answers;
}

}  // namespace dura
