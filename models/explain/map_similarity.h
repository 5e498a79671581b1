// How alike two heat maps are.
#pragma once
#include "models/explain/heat_map.h"

namespace dura {

// Spearman's rank correlation, equal values sharing their mean rank; 0 where one map has a single value everywhere: it orders nothing.
double rank_correlation(const HeatMap& a, const HeatMap& b);

// The structural similarity index (Wang et al. 2004) of maps with values in [0,1]: mean over all windows of 7x7, or as large as the map
// where it is smaller, with sample variances and the constants 0.01^2 and 0.03^2.
double structural_similarity(const HeatMap& a, const HeatMap& b);

}  // namespace dura
