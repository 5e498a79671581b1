#include "apps/evaluation/split_maps.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/program/text_table.h"
#include "data/image/codec.h"
#include "data/set/csv.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "models/explain/heat_map_score.h"
#include "models/explain/joint_explanation.h"
#include "models/explain/sanity_check.h"

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

std::string HeatMapRun::title() const {
  return concat("Heat maps (", method, " at ", stage, enlarge == "linear" ? "" : ", " + enlarge, ", tolerance ", tolerance, ")");
}

ExplainOptions HeatMapRun::explanation(const ClassNames& classes) const {
  ExplainOptions o{.method = cam_method_by_name(method),
                   .stage = ResNet::stage_by_name(stage),
                   .by_receptive_field = cells == "receptive-fields",
                   .enlarging = enlarge == "cubic" ? Enlarging::cubic : Enlarging::linear};
  if (explain == "predicted") return o;
  const auto found = classes.find(explain);
  if (!found) fail_usage("--explain ", explain, ": the model's classes are ", classes.list(), "; or say predicted");
  o.explained = *found;
  return o;
}

std::string heat_maps_json(const HeatMapRun& run, const std::vector<ScoreGroup>& groups, const std::vector<SanityStep>& sanity,
                           const DeletionCurves& deletion) {
  Json j = {{"format", "dura heat maps 1"},
            {"model_sha256", joined(run.model_sha256, ", ")},
            {"split", run.split},
            {"method", run.method},
            {"stage", run.stage},
            {"cells", run.cells},
            {"enlarge", run.enlarge},
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

SplitMaps::SplitMaps(const std::vector<Classifier*>& networks, const Dataset& dataset, const DataSplits& data,
                     const DataOptions& data_options, const SplitMapOptions& options)
    : model_(*networks.at(0)),
      dataset_(dataset),
      data_(data),
      data_options_(data_options),
      options_(options),
      samples_(spread(dataset.size(), options.limit)) {
  for (int64_t s : samples_)
    if (options.tolerance.millimetres && !dataset.sample(s).mask.empty() && dataset.sample(s).mm_per_pixel <= 0)
      fail_usage("a tolerance in mm needs the size of pixels, and ", dataset.sample(s).file,
                 " has none. Give the manifest a column mm_per_pixel, or the tolerance in px.");
  explanations_ = explain(networks, dataset, samples_, options.batch, options.explanation);
}

// The brain's mask where the manifest has a column for it, else the head's outline found in the picture.
Image SplitMaps::region(size_t i, const Image& gray) const {
  const std::vector<std::string> extra = data_.manifest.extra_columns();
  if (std::find(extra.begin(), extra.end(), "brain") != extra.end()) {
    const ManifestRow& row = data_.manifest.rows[static_cast<size_t>(dataset_.sample(samples_[i]).row)];
    if (const std::string brain = data_.manifest.value(row, "brain"); !brain.empty())
      return dataset_.preprocessing().mask(read_mask((std::filesystem::path(data_options_.folder) / brain).string()));
  }
  return head_region(gray);
}

// Those with a lesion. What is wrong with the others is said by the process that speaks.
std::vector<SplitMaps::Scorable> SplitMaps::scorable_of_own_part() const {
  const SharedWork& shared = options_.explanation.shared;
  const Stretch own = shared.own(static_cast<int64_t>(size()));
  std::vector<Scorable> found;
  std::string warnings;
  for (int64_t k = own.begin; k < own.end; ++k) {
    const auto i = static_cast<size_t>(k);
    const Sample& sample = dataset_.sample(samples_[i]);
    if (sample.mask.empty()) continue;
    try {
      ScoredSlice s{.gray = to_gray(dataset_.image(samples_[i])), .mask = dataset_.mask(samples_[i]), .region = {}};
      if (std::all_of(s.mask.pixels.begin(), s.mask.pixels.end(), [](uint8_t v) { return v == 0; })) continue;
      s.region = region(i, s.gray);
      s.tolerance = options_.tolerance;
      s.pitch = {.row = sample.mm_per_pixel * static_cast<double>(sample.height) / static_cast<double>(dataset_.height()),
                 .column = sample.mm_per_pixel * static_cast<double>(sample.width) / static_cast<double>(dataset_.width())};
      found.push_back({k, std::move(s)});
    } catch (const UsageError&) {
      throw;
    } catch (const Error& e) {
      warnings += concat(sample.file, " is not scored: ", e.what(), "\n");
    }
  }
  std::istringstream lines(shared.alone() ? warnings : joined(shared.gather(warnings), ""));
  for (std::string line; std::getline(lines, line);) log_warning(line);
  return found;
}

std::vector<ScoredPicture> SplitMaps::score() {
  const SharedWork& shared = options_.explanation.shared;
  const std::vector<Scorable> own = scorable_of_own_part();
  std::vector<int64_t> with_lesion;
  for (const Scorable& s : own) with_lesion.push_back(s.index);
  const int64_t before = shared.alone() ? 0 : [&] {
    int64_t count = 0;
    const std::vector<int64_t> counts = shared.in_a_row(std::vector<int64_t>{std::ssize(own)});
    for (int64_t p = 0; p < shared.part; ++p) count += counts[static_cast<size_t>(p)];
    return count;
  }();
  with_lesion = shared.in_a_row(std::move(with_lesion));
  if (with_lesion.empty()) return {};

  // A random network's own predictions are explained, as the model's are.
  std::vector<int64_t> samples;
  for (const int64_t i : with_lesion) samples.push_back(samples_[static_cast<size_t>(i)]);
  std::vector<std::vector<HeatMap>> random_maps(with_lesion.size());
  if (options_.random_networks > 0) {
    const Tensor images = images_of(dataset_, spread(dataset_.size(), options_.batch));
    Classifier random(model_.options(), Initialise::no);
    ExplainOptions of_random = options_.explanation;
    of_random.explained = -1;
    for (int64_t n = 0; n < options_.random_networks; ++n) {
      randomise_weights(random, 0, static_cast<uint64_t>(n), images);
      const std::vector<Explanation> explained = explain(random, dataset_, samples, options_.batch, of_random);
      for (size_t k = 0; k < explained.size(); ++k) random_maps[k].push_back(explained[k].map);
    }
  }

  std::vector<PictureScore> scores;
  for (size_t k = 0; k < own.size(); ++k)
    scores.push_back(
        score_picture(own[k].slice, explanations_[static_cast<size_t>(own[k].index)].map, random_maps[static_cast<size_t>(before) + k]));
  scores = shared.in_a_row(std::move(scores));
  std::vector<ScoredPicture> scored;
  const std::vector<std::string>& classes = model_.classes();
  for (size_t k = 0; k < with_lesion.size(); ++k) {
    const Sample& sample = dataset_.sample(samples[k]);
    const Explanation& e = explanations_[static_cast<size_t>(with_lesion[k])];
    scored.push_back({.file = sample.file,
                      .label = classes[static_cast<size_t>(sample.label)],
                      .predicted = classes[static_cast<size_t>(e.predicted)],
                      .explained = classes[static_cast<size_t>(e.explained)],
                      .probability = e.probability,
                      .score = scores[k]});
  }
  return scored;
}

SanityCheck SplitMaps::sanity(int64_t count) {
  std::vector<int64_t> samples;
  for (int64_t i : spread(std::ssize(samples_), count)) samples.push_back(samples_[static_cast<size_t>(i)]);
  return sanity_check(model_, dataset_, samples, options_.batch, options_.explanation, std::max<int64_t>(1, options_.random_networks));
}

DeletionCurves SplitMaps::deletion(int64_t count) {
  std::vector<int64_t> samples;
  std::vector<Explanation> explanations;
  for (int64_t i : spread(std::ssize(samples_), count)) {
    samples.push_back(samples_[static_cast<size_t>(i)]);
    explanations.push_back(explanations_[static_cast<size_t>(i)]);
  }
  return deletion_curves(model_, dataset_, samples, explanations, {.batch = options_.batch, .shared = options_.explanation.shared});
}

HeatMapPicture SplitMaps::picture(size_t i) const {
  const Sample& sample = dataset_.sample(samples_.at(i));
  const std::filesystem::path folder = data_options_.folder;
  HeatMapPicture p = heat_map_picture(sample.file, read_image((folder / sample.file).string()), explanation(i), model_.classes());
  p.label = model_.classes()[static_cast<size_t>(sample.label)];
  if (sample.mask.empty()) return p;
  try {
    p.mask = read_mask((folder / sample.mask).string());
  } catch (const Error& error) {
    log_warning(sample.file, " is shown without its mask: ", error.what());
  }
  return p;
}

void SplitMaps::show(int64_t count, const std::function<void(const std::string& section, const HeatMapPicture& picture)>& add) const {
  const std::vector<size_t> errors = wrong(count / 2);
  for (const size_t i : errors) add("Wrong answers, the surest first", picture(i));
  for (const size_t i : right_answers(count - std::ssize(errors))) add("Right answers, the least sure first", picture(i));
}

std::vector<size_t> SplitMaps::by_probability(bool right_ones, bool descending) const {
  std::vector<size_t> order;
  for (size_t i = 0; i < size(); ++i)
    if (right(i) == right_ones) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const double x = explanation(a).probability, y = explanation(b).probability;
    return descending ? x > y : x < y;
  });
  return order;
}

std::vector<size_t> SplitMaps::wrong(int64_t count) const {
  std::vector<size_t> order = by_probability(false, true);
  order.resize(std::min(order.size(), static_cast<size_t>(count)));
  return order;
}

std::vector<size_t> SplitMaps::right_answers(int64_t count) const {
  const std::vector<size_t> order = by_probability(true, false);
  const size_t room = std::min(order.size(), static_cast<size_t>(count)), first = (room + 1) / 2;
  std::vector<size_t> chosen(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(first));
  for (int64_t k : spread(static_cast<int64_t>(order.size() - first), static_cast<int64_t>(room - first)))
    if (chosen.size() < room) chosen.push_back(order[first + static_cast<size_t>(k)]);
  return chosen;
}

}  // namespace dura
