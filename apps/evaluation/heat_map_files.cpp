#include "apps/evaluation/heat_map_files.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/program/decimals.h"
#include "data/set/csv.h"

namespace dura {

namespace {

using Json = nlohmann::ordered_json;

Json json_of(const ScoreGroup& g) {
  Json j = {{"group", g.name},
            {"pictures", g.pictures},
            {"without_evidence", g.without_evidence},
            {"random_maps_with_evidence", g.random_maps_with_evidence},
            {"p_value", g.p_value}};
  for (Guess guess : all_guesses)
    j["scores"][guess_key(guess)] = {
        {"pointing", g[guess].pointing}, {"energy", g[guess].energy}, {"iou_half", g[guess].iou_half}, {"iou_otsu", g[guess].iou_otsu}};
  return j;
}

Json json_of(const DeletionCurves& c) {
  Json j = {{"pictures", c.pictures}, {"share", c.share}};
  const std::pair<const char*, const ProbabilityLine*> lines[] = {{"deletion", &c.deletion},
                                                                  {"insertion", &c.insertion},
                                                                  {"random_deletion", &c.random_deletion},
                                                                  {"random_insertion", &c.random_insertion}};
  for (const auto& [name, line] : lines) j[name] = {{"area", line->area()}, {"probability", line->probability}};
  return j;
}

std::string number(double v) { return std::isnan(v) ? "" : printed("%.6g", v); }

}  // namespace

ExplainOptions HeatMapRun::explanation(const ClassNames& classes) const {
  ExplainOptions o{
      .method = cam_method_by_name(method), .stage = ResNet::stage_by_name(stage), .by_receptive_field = cells == "receptive-fields"};
  if (explain == "predicted") return o;
  const auto found = classes.find(explain);
  if (!found) fail_usage("--explain ", explain, ": the model's classes are ", classes.list(), "; or say predicted");
  o.explained = *found;
  return o;
}

std::string heat_maps_json(const HeatMapRun& run, const std::vector<ScoreGroup>& groups, const std::vector<SanityStep>& sanity,
                           const DeletionCurves& deletion) {
  Json j = {{"format", "dura heat maps 1"},
            {"model_sha256", run.model_sha256},
            {"split", run.split},
            {"method", run.method},
            {"stage", run.stage},
            {"cells", run.cells},
            {"explain", run.explain},
            {"tolerance", run.tolerance},
            {"maps", run.maps},
            {"without_evidence", run.without_evidence},
            {"random_networks", run.random_networks},
            {"groups", Json::array()}};
  for (const ScoreGroup& g : groups) j["groups"].push_back(json_of(g));
  for (const SanityStep& step : sanity)
    j["sanity"].push_back({{"randomised", step.randomised},
                           {"rank_correlation", step.rank_correlation},
                           {"ssim", step.structural_similarity},
                           {"maps", step.maps},
                           {"without_evidence", step.without_evidence}});
  if (deletion.pictures > 0) j["deletion"] = json_of(deletion);
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string heat_maps_csv(const std::vector<ScoredPicture>& pictures) {
  std::vector<std::string> header = {"file", "label", "predicted", "probability", "explained", "evidence"};
  for (Guess g : all_guesses)
    for (const char* score : {"pointing", "energy", "iou_half", "iou_otsu"}) header.push_back(concat(guess_key(g), "_", score));
  std::string text = format_csv_row(header);
  for (const ScoredPicture& p : pictures) {
    std::vector<std::string> row = {p.file, p.label, p.predicted, number(p.probability), p.explained, p.score.evidence ? "1" : "0"};
    for (Guess g : all_guesses)
      for (double v : {p.score[g].pointing, p.score[g].energy, p.score[g].iou_half, p.score[g].iou_otsu}) row.push_back(number(v));
    text += format_csv_row(row);
  }
  return text;
}

}  // namespace dura
