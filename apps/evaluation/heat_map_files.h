// The scores of heat maps as files for other programs: heat_maps.json and heat_maps.csv (docs/formats.md).
#pragma once
#include <string>
#include <vector>

#include "models/explain/heat_map_summary.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/sanity_check.h"

namespace dura {

// How the maps were made, for the head of the file.
struct HeatMapRun {
  std::string model_sha256, split, method, stage, cells, explain, tolerance;
  int64_t maps = 0, without_evidence = 0, random_networks = 0;
};

// Checks that were not made (no steps, no pictures) are left out.
std::string heat_maps_json(const HeatMapRun& run, const std::vector<ScoreGroup>& groups, const std::vector<SanityStep>& sanity = {},
                           const DeletionCurves& deletion = {});
// One row per scored picture.
std::string heat_maps_csv(const std::vector<ScoredPicture>& pictures);

}  // namespace dura
