// What dura-prepare found in a set of pictures: tables for the terminal, plots for its page, how often each class is met.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/audit/split.h"
#include "data/audit/survey.h"

namespace dura {

// How often each class is met: as the files are, and as training and the balanced test effectively see them.

struct ClassBalance {
  std::string name;            // "train", "train, class weights", "test, balanced"
  std::vector<double> slices;  // by class; weighted where weights are

  double share(size_t c) const;  // 0 where there are none
};

// The splits that have slices, as they are; training with each slice counted by its class weight (`weights` by class; empty: what makes all
// classes equal); test with the smaller classes brought up to the largest by augmented copies.
std::vector<ClassBalance> class_balances(const DataSurvey& survey, const std::vector<double>& weights);

std::string class_balance_text(const std::vector<ClassBalance>& balances, const DataSurvey& survey);

// A data set in plots: how often each class is met, sizes of the pictures, grey levels, sizes of lesions.
// File name -> SVG: classes.svg, extents.svg, levels.svg; lesion_diameter.svg and lesion_area.svg where sizes are known.
std::map<std::string, std::string> survey_plots(const DataSurvey& survey, const std::vector<ClassBalance>& balances,
                                                const Manifest& manifest, const ClassNames& classes);

// A data set's survey and the split made of it, as text tables.
std::string survey_text(const DataSurvey& survey, const Manifest& manifest);
// Wanted and real rows of every stratum; what is off by more than a twentieth of the stratum's rows is marked.
std::string split_text(const SplitReport& report);
// Of each balanced column the largest |rows - wanted| of one of its values in a class and a split, in slices.
std::map<std::string, double> column_deviations(const SplitReport& report);

// Both are used, in different splits.
bool are_divided(const Manifest& manifest, const NearCopy& pair);
// Every pair of copies: first,second,first_split,second_split,how,likeness.
std::string copies_csv(const DataSurvey& survey, const Manifest& manifest);

}  // namespace dura
