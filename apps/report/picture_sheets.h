// Sheets of pictures for a person to judge by: what the leak audit calls copies, and what a network is fed.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/audit/survey.h"
#include "data/set/loader.h"

namespace dura {

// A picture of what the leak audit calls copies, so that a person can say whether they are: a row per pair; from left to right the first
// slice, the second, and the second laid upon the first as the audit found it to lie.

// At most `most` pairs of survey.similar, the least alike first: where the audit errs, it errs there. Nothing where there are none.
std::optional<Image> copy_sheet(const DataSurvey& survey, const Manifest& manifest, const std::string& folder, int64_t most = 24);

// A picture of what a network is fed: a row per slice; from left to right the slice as it is in its file, after each step of the
// preprocessing, and as it comes in the first epochs of training. The last are the loader's own bytes, so the sheet shows what the run with
// the same seed trains on, up to the mean and deviation that the network takes off itself.
struct InputSheetOptions {
  std::string folder;  // of the data set's files
  std::vector<AugmentPolicy> policies = {};
  uint64_t seed = 0;
  int64_t epochs = 4;
};

// A row for each sample of the data set, in its order.
Image input_sheet(const Dataset& dataset, const ClassNames& classes, const InputSheetOptions& options);

// Of each class in turn `per_class` of its rows, or all if there are fewer, evenly spread over their order.
std::vector<int64_t> rows_of_each_class(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes,
                                        int64_t per_class);

}  // namespace dura
