// From logits to answers on the host: probabilities, and the most probable class. In double.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/core/tensor.h"

namespace dura {

// What the network says of one picture.
struct Answer {
  std::vector<double> probabilities = {};  // of the classes, in the model's order
  int32_t predicted = 0;                   // the most probable class; the first of equals
  double probability = 0;                  // of it
};
// The answer of several models to one picture: the mean of their probabilities. Error for none, or for different numbers of classes.
Answer mean_answer(const std::vector<Answer>& answers);
// How far they disagree on class `c`: the standard deviation of its probability.
double disagreement(const std::vector<Answer>& answers, int32_t c);
// Of (N,classes) logits of any floating dtype, on any device: N answers.
std::vector<Answer> answers_of(const Tensor& logits);

// The same for tables of numbers. A row has `classes` logits.
std::vector<double> softmax_rows(const std::vector<double>& logits, int64_t classes);
// log(sum_k exp(z_k)) of each row: less a logit, it is that class's loss.
std::vector<double> log_sum_exp_rows(const std::vector<double>& logits, int64_t classes);
// The place of the largest value in each row; the first of equals.
std::vector<int32_t> argmax_rows(const std::vector<double>& values, int64_t classes);

}  // namespace dura
