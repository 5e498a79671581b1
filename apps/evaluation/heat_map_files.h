// The scores of heat maps as files for other programs: heat_maps.json and heat_maps.csv (docs/formats.md).
#pragma once
#include <string>
#include <vector>

#include "data/set/class_names.h"
#include "models/explain/deletion_curve.h"
#include "models/explain/heat_map_summary.h"
#include "models/explain/sanity_check.h"

namespace dura {

// How the maps were made, for the head of the file: a program's options in its user's words, and what came of them.
struct HeatMapRun {
  std::string model_sha256, split = "test", method = "gradcam", stage = "layer4", cells = "shares", explain = "predicted", tolerance = "0";
  int64_t maps = 0, without_evidence = 0, random_networks = 3;

  // UsageError for a word that has no meaning.
  ExplainOptions explanation(const ClassNames& classes) const;
};

// Checks that were not made (no steps, no pictures) are left out.
std::string heat_maps_json(const HeatMapRun& run, const std::vector<ScoreGroup>& groups, const std::vector<SanityStep>& sanity = {},
                           const DeletionCurves& deletion = {});
// One row per scored picture.
std::string heat_maps_csv(const std::vector<ScoredPicture>& pictures);

}  // namespace dura
