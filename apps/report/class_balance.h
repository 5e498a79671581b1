// How often each class is met: as the files are, and as training and the balanced test effectively see them.
#pragma once
#include <string>
#include <vector>

#include "data/audit/survey.h"

namespace dura {

struct ClassBalance {
  std::string name;            // "train", "train, class weights", "test, balanced"
  std::vector<double> slices;  // by class; weighted where weights are

  double share(size_t c) const;  // 0 where there are none
};

// The splits that have slices, as they are; training with each slice counted by its class weight (`weights` by class; empty: what makes all
// classes equal); test with the smaller classes brought up to the largest by augmented copies.
std::vector<ClassBalance> class_balances(const DataSurvey& survey, const std::vector<double>& weights);

std::string class_balance_text(const std::vector<ClassBalance>& balances, const DataSurvey& survey);

}  // namespace dura
