// A data set's survey and the split made of it, for people (text tables) and for programs (JSON).
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

// Keys: slices, classes[{name, splits{train{slices,patients}...}, left_out, grey_levels{mean,deviation,p1,p50,p99}, masks, empty_masks,
// lesion_mm{count,min,q1,median,q3,max}, lesion_extent_mm{...}, lesion_mm2{...}}], left_out, other_labels, extents[{height,width,slices}],
// bad[{file,reason}], copies[[file]], similar[{first,second,how,likeness,divided}].
// `split`, where not null, adds units, largest_class_deviation, strata[{name,rows,wanted}] and column_deviations{column}.
std::string survey_json(const DataSurvey& survey, const Manifest& manifest, const SplitReport* split);

// Every pair of copies: first,second,first_split,second_split,how,likeness.
std::string copies_csv(const DataSurvey& survey, const Manifest& manifest);

}  // namespace dura
