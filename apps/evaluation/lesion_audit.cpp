#include "apps/evaluation/lesion_audit.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/evaluation/split_evaluation.h"
#include "apps/program/text_table.h"
#include "apps/training/progress.h"
#include "data/set/csv.h"
#include "engine/base/file.h"
#include "models/explain/heat_map_score.h"
#include "models/explain/lesion_deletion.h"

namespace dura {
namespace {

struct MapKind {
  const char *key, *name;
  CamMethod method;
  int stage;  // 0: occlusion
};
constexpr MapKind map_kinds[] = {{"gradcam_layer4", "Grad-CAM at layer4", CamMethod::grad_cam, 4},
                                 {"hirescam_layer3", "HiResCAM at layer3", CamMethod::hires_cam, 3},
                                 {"layercam_layer3", "LayerCAM at layer3", CamMethod::layer_cam, 3},
                                 {"occlusion", "occlusion", CamMethod::grad_cam, 0}};

size_t index_of(const std::string& key) {
  const std::vector<AuditMeasure>& all = audit_measures();
  const auto found = std::find_if(all.begin(), all.end(), [&](const AuditMeasure& m) { return m.key == key; });
  DURA_CHECK(found != all.end(), "lesion audit: there is no measure ", key);
  return static_cast<size_t>(found - all.begin());
}

// The scores of each kind of map, then what deletion says; in the order of audit_measures().
std::vector<double> values_of(Classifier& model, const Dataset& dataset, int64_t sample, const AuditOptions& o) {
  const Image slice = dataset.image(sample), mask = dataset.mask(sample);
  Image region = head_region(to_gray(slice));
  double lesion = 0, head = 0;
  for (size_t i = 0; i < region.pixels.size(); ++i) {
    if (mask.pixels[i]) region.pixels[i] = 255, ++lesion;
    head += region.pixels[i] != 0;
  }
  const LesionDeletion d = lesion_deletion(model, slice, mask, region, dataset.sample(sample).key, {.batch = o.batch});
  std::vector<double> values;
  for (const MapKind& kind : map_kinds) {
    const ExplainOptions cam{.method = kind.method, .stage = kind.stage, .by_receptive_field = o.maps.by_receptive_field};
    HeatMap map = kind.stage > 0 ? explain(model, dataset, {sample}, 1, cam).front().map : occlusion_map(model, slice, d.answer, o.batch);
    map.enlarging = o.maps.enlarging;
    const MapScore s = score_map(map, mask, mask);
    values.insert(values.end(), {s.pointing, s.energy, s.iou_half});
  }
  values.insert(values.end(), {lesion / head, values[0] - lesion / head, d.probability, d.filled, d.filled_elsewhere,
                               d.filled - d.filled_elsewhere, d.mirrored, d.mirrored_elsewhere, d.mirrored - d.mirrored_elsewhere, d.kept});
  return values;
}

// Means over the rows drawn, of each measure, where it is a number.
std::vector<double> means_of(const std::vector<std::vector<double>>& rows, const std::vector<double>& counts) {
  std::vector<double> means;
  for (size_t m = 0; m < audit_measures().size(); ++m) {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < rows.size(); ++i)
      if (!std::isnan(rows[i][m])) sum += counts[i] * rows[i][m], weight += counts[i];
    means.push_back(weight > 0 ? sum / weight : NAN);
  }
  return means;
}

std::vector<Score> scores_of(const std::vector<std::vector<double>>& rows, const Bootstrap& bootstrap) {
  const std::vector<double> means = means_of(rows, std::vector<double>(rows.size(), 1));
  const std::vector<Interval> intervals =
      bootstrap.intervals(means.size(), [&](const std::vector<double>& counts) { return means_of(rows, counts); });
  std::vector<Score> scores;
  for (size_t m = 0; m < means.size(); ++m) scores.push_back({means[m], intervals[m]});
  return scores;
}

std::string text_of(const Score& s) { return concat(fixed(s.value), " (", fixed(s.interval.low), " to ", fixed(s.interval.high), ")"); }

}  // namespace

const std::vector<AuditMeasure>& audit_measures() {
  static const std::vector<AuditMeasure> all = [] {
    std::vector<AuditMeasure> m;
    for (const MapKind& kind : map_kinds) {
      m.push_back({concat(kind.key, "_hit"), concat(kind.name, ": peak in the lesion")});
      m.push_back({concat(kind.key, "_energy"), concat(kind.name, ": energy in the lesion")});
      m.push_back({concat(kind.key, "_iou"), concat(kind.name, ": IoU at half")});
    }
    m.insert(m.end(), {{"lesion_share", "the lesion's share of the head: a random point's hits"},
                       {"hit_above_chance", "Grad-CAM's hits above a random point's"},
                       {"probability", "probability of the answer"},
                       {"fall_filled", "its fall, lesion filled in"},
                       {"fall_filled_elsewhere", "its fall, equal areas elsewhere filled in"},
                       {"filled_excess", "lesion less elsewhere, filled in"},
                       {"fall_mirrored", "its fall, lesion from the other side"},
                       {"fall_mirrored_elsewhere", "its fall, equal areas elsewhere from the other side"},
                       {"mirrored_excess", "lesion less elsewhere, from the other side"},
                       {"kept", "probability, all but lesion and rim blurred"}});
    return m;
  }();
  return all;
}

std::vector<AuditedSlice> audit_lesions(Classifier& model, const Dataset& dataset, const Manifest& manifest, const AuditOptions& o) {
  const SharedWork shared = o.ranks->work();
  const Stretch looked_at = shared.own(dataset.size());
  std::vector<int64_t> with_lesion;
  for (int64_t i = looked_at.begin; i < looked_at.end; ++i) {
    const Image mask = dataset.mask(i);
    if (std::any_of(mask.pixels.begin(), mask.pixels.end(), [](uint8_t v) { return v != 0; })) with_lesion.push_back(i);
  }
  with_lesion = shared.in_a_row(std::move(with_lesion));
  Predictions chosen;
  for (const int64_t k : spread(std::ssize(with_lesion), o.pictures)) chosen.samples.push_back(with_lesion[static_cast<size_t>(k)]);
  const std::vector<std::string> units = bootstrap_units(chosen, dataset, manifest).names;
  const Stretch own = shared.own(std::ssize(units));
  std::vector<double> values;
  Progress progress("lesion audit", own.size());
  for (int64_t i = own.begin; i < own.end; ++i) {
    const std::vector<double> of_slice = values_of(model, dataset, chosen.samples[static_cast<size_t>(i)], o);
    values.insert(values.end(), of_slice.begin(), of_slice.end());
    progress.update(i + 1 - own.begin);
  }
  values = shared.in_a_row(std::move(values));
  std::vector<AuditedSlice> slices;
  const auto measures = std::ssize(audit_measures());
  for (size_t i = 0; i < units.size(); ++i) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(i) * measures;
    slices.push_back({dataset.sample(chosen.samples[i]).file, units[i], {first, first + measures}});
  }
  return slices;
}

LesionAudit audit_split(const ModelFile& file, const std::string& against, const DataSplits& data, const DataOptions& data_options,
                        Split split, const AuditOptions& options) {
  const auto slices = [&](const ModelFile& f) {
    return audit_lesions(*f.model, *data.open(split, data_options, f.preprocessing, false, *options.ranks), data.manifest, options);
  };
  std::vector<AuditedSlice> other;
  if (!against.empty()) {
    const ModelFile second = read_model(against, {.device = file.model->options().backbone.tensors.device});
    if (second.model->classes() != file.model->classes())
      fail_usage("--against ", against, ": its classes are others, or in another order");
    other = slices(second);
  }
  return summarise_audit(slices(file), other);
}

LesionAudit summarise_audit(std::vector<AuditedSlice> slices, const std::vector<AuditedSlice>& other, const BootstrapOptions& options) {
  LesionAudit audit{.slices = std::move(slices), .means = {}, .differences = {}};
  if (audit.slices.empty()) return audit;
  std::vector<std::string> units;
  std::vector<std::vector<double>> rows;
  for (const AuditedSlice& s : audit.slices) units.push_back(s.unit), rows.push_back(s.values);
  const Bootstrap bootstrap(units, options);
  audit.units = bootstrap.units();
  audit.means = scores_of(rows, bootstrap);
  if (other.empty()) return audit;
  if (other.size() != rows.size()) fail_usage("lesion audit: ", rows.size(), " slices of one network, ", other.size(), " of the other");
  for (size_t i = 0; i < rows.size(); ++i) {
    if (other[i].file != audit.slices[i].file)
      fail_usage("lesion audit: slice ", i, " is ", audit.slices[i].file, " of one network and ", other[i].file, " of the other");
    for (size_t m = 0; m < rows[i].size(); ++m) rows[i][m] -= other[i].values[m];
  }
  audit.differences = scores_of(rows, bootstrap);
  return audit;
}

const Score& LesionAudit::mean(const std::string& key) const { return means.at(index_of(key)); }
bool LesionAudit::map_points() const { return mean("hit_above_chance").interval.low > 0; }
bool LesionAudit::network_needs() const { return mean("fall_filled").interval.low > 0 && mean("filled_excess").interval.low > 0; }

std::string LesionAudit::verdict() const {
  const std::string map = concat("Grad-CAM's peak lies in the lesion in ", fixed(100 * mean("gradcam_layer4_hit").value, 1),
                                 " % of the slices (a random point: ", fixed(100 * mean("lesion_share").value, 1), " %)"),
                    deletion = concat("filling the lesion in lowers the answer's probability by ", fixed(mean("fall_filled").value),
                                      ", equal areas elsewhere by ", fixed(mean("fall_filled_elsewhere").value));
  const bool points = map_points(), needs = network_needs();
  const std::string says = points && needs ? "The network looks at the lesion"
                           : points        ? "The map lies on the lesion, but the network does not need it"
                           : needs         ? "The network uses the lesion, but its map does not show it"
                                           : "Nothing says that the network looks at the lesion";
  return concat(says, ": ", map, "; ", deletion, ".");
}

std::string audit_text(const LesionAudit& a) {
  if (a.slices.empty()) return "lesion audit: no slice has a mask with a lesion\n";
  Table table = {{"measure", "mean (95 % over patients)"}};
  if (!a.differences.empty()) table[0].push_back("less the other network's");
  for (size_t m = 0; m < a.means.size(); ++m) {
    table.push_back({audit_measures()[m].name, text_of(a.means[m])});
    if (!a.differences.empty()) table.back().push_back(text_of(a.differences[m]));
  }
  return concat("lesion audit on ", a.slices.size(), " slices of ", a.units, " patients. ", a.verdict(), "\n") + text_table(table, 0);
}

std::string audit_csv(const LesionAudit& a) {
  std::vector<std::string> header = {"file", "unit"};
  for (const AuditMeasure& m : audit_measures()) header.push_back(m.key);
  std::string text = format_csv_row(header);
  for (const AuditedSlice& s : a.slices) {
    std::vector<std::string> row = {s.file, s.unit};
    for (const double v : s.values) row.push_back(std::isnan(v) ? "" : printed("%.6g", v));
    text += format_csv_row(row);
  }
  return text;
}

std::string audit_json(const LesionAudit& a) {
  using Json = nlohmann::ordered_json;
  const auto score = [](const Score& s) { return Json{{"value", s.value}, {"low", s.interval.low}, {"high", s.interval.high}}; };
  Json j = {{"format", "dura lesion audit 1"}, {"slices", a.slices.size()}, {"units", a.units}};
  if (!a.slices.empty()) {
    j["verdict"] = a.verdict();
    j["map_points"] = a.map_points(), j["network_needs"] = a.network_needs();
  }
  j["measures"] = Json::array();
  for (size_t m = 0; m < a.means.size(); ++m) {
    Json measure = {{"key", audit_measures()[m].key}, {"name", audit_measures()[m].name}, {"mean", score(a.means[m])}};
    if (!a.differences.empty()) measure["difference"] = score(a.differences[m]);
    j["measures"].push_back(std::move(measure));
  }
  return j.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_audit(const std::filesystem::path& folder, const LesionAudit& audit) {
  write_file_atomically(folder / "lesion_audit.csv", audit_csv(audit));
  write_file_atomically(folder / "lesion_audit.json", audit_json(audit));
}

}  // namespace dura
