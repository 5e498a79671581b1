// A picture of what the leak audit calls copies, so that a person can say whether they are: a row per pair; from left to right the first
// slice, the second, and the second laid upon the first as the audit found it to lie.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "data/audit/survey.h"

namespace dura {

// At most `most` pairs of survey.similar, the least alike first: where the audit errs, it errs there. Nothing where there are none.
std::optional<Image> copy_sheet(const DataSurvey& survey, const Manifest& manifest, const std::string& folder, int64_t most = 24);

}  // namespace dura
