// A data set in plots: how often each class is met, extents, grey levels, sizes of lesions.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "apps/report/class_balance.h"

namespace dura {

// File name -> SVG: classes.svg, extents.svg, levels.svg; lesion_diameter.svg and lesion_area.svg where sizes are known.
std::map<std::string, std::string> survey_plots(const DataSurvey& survey, const std::vector<ClassBalance>& balances,
                                                const Manifest& manifest, const ClassNames& classes);

}  // namespace dura
