// A data set's survey and the split made of it, as text tables.
#pragma once
#include <map>
#include <string>

#include "data/audit/split.h"
#include "data/audit/survey.h"

namespace dura {

std::string survey_text(const DataSurvey& survey, const Manifest& manifest);
// Wanted and real rows of every stratum; what is off by more than a twentieth of the stratum's rows is marked.
std::string split_text(const SplitReport& report);
// Of each balanced column the largest |rows - wanted| of one of its values in a class and a split, in slices.
std::map<std::string, double> column_deviations(const SplitReport& report);

// Both are used, in different splits.
bool are_divided(const Manifest& manifest, const SimilarRows& pair);
// Every pair of copies: first,second,first_split,second_split,how,likeness.
std::string copies_csv(const DataSurvey& survey, const Manifest& manifest);

}  // namespace dura
