#include "apps/evaluation/error_analysis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <set>
#include <vector>

#include "apps/program/text_table.h"
#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/parallel.h"

namespace dura {

namespace {

// A yes or no for each pixel.
struct PixelSet {
  int64_t height, width;
  std::vector<uint8_t> inside;

  PixelSet(int64_t h, int64_t w) : height(h), width(w), inside(static_cast<size_t>(h * w)) {}
  bool has(int64_t r, int64_t c) const { return r >= 0 && c >= 0 && r < height && c < width && inside[static_cast<size_t>(r * width + c)]; }
  int64_t count() const { return std::count(inside.begin(), inside.end(), 1); }
};

// Pixels reached from `start` over neighbours (8 of them, or 4) in the set; they are taken out of it.
std::vector<int64_t> take_region(PixelSet& set, int64_t start, bool eight) {
  std::vector<int64_t> region = {start};
  set.inside[static_cast<size_t>(start)] = 0;
  for (size_t k = 0; k < region.size(); ++k) {
    const int64_t r = region[k] / set.width, c = region[k] % set.width;
    for (int64_t dr = -1; dr <= 1; ++dr)
      for (int64_t dc = -1; dc <= 1; ++dc) {
        if ((!eight && dr != 0 && dc != 0) || !set.has(r + dr, c + dc)) continue;
        const int64_t next = (r + dr) * set.width + c + dc;
        set.inside[static_cast<size_t>(next)] = 0;
        region.push_back(next);
      }
  }
  return region;
}

// Everything but the dark that is connected with the picture's edge: dark ventricles belong to the head.
PixelSet head_of(const Image& gray) {
  std::vector<uint8_t> sorted = gray.pixels;
  const auto place = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() * 99 / 100);
  std::nth_element(sorted.begin(), place, sorted.end());
  const int dark = std::max(10, *place / 10);
  PixelSet background(gray.height, gray.width), head(gray.height, gray.width);
  for (size_t i = 0; i < gray.pixels.size(); ++i) background.inside[i] = gray.pixels[i] < dark;
  std::fill(head.inside.begin(), head.inside.end(), uint8_t{1});
  for (int64_t i = 0; i < gray.height * gray.width; ++i) {
    const int64_t r = i / gray.width, c = i % gray.width;
    const bool edge = r == 0 || c == 0 || r == gray.height - 1 || c == gray.width - 1;
    if (!edge || !background.has(r, c)) continue;
    for (const int64_t pixel : take_region(background, i, false)) head.inside[static_cast<size_t>(pixel)] = 0;
  }
  return head;
}

// The part of the set from which every way out is longer than `depth` steps along rows and columns; outside of the picture is outside of
// the set.
PixelSet eroded(const PixelSet& set, int64_t depth) {
  const int64_t h = set.height, w = set.width;
  std::vector<int64_t> distance(set.inside.size());
  const auto at = [&](int64_t r, int64_t c) { return r < 0 || c < 0 || r >= h || c >= w ? 0 : distance[static_cast<size_t>(r * w + c)]; };
  const int64_t far = h + w;
  for (int64_t r = 0; r < h; ++r)
    for (int64_t c = 0; c < w; ++c)
      distance[static_cast<size_t>(r * w + c)] = set.has(r, c) ? std::min({far, at(r - 1, c) + 1, at(r, c - 1) + 1}) : 0;
  for (int64_t r = h - 1; r >= 0; --r)
    for (int64_t c = w - 1; c >= 0; --c) {
      int64_t& d = distance[static_cast<size_t>(r * w + c)];
      d = std::min({d, at(r + 1, c) + 1, at(r, c + 1) + 1});
    }
  PixelSet inner(h, w);
  for (size_t i = 0; i < distance.size(); ++i) inner.inside[i] = distance[i] > depth;
  return inner;
}

bool reaches_edge(const PixelSet& set, const std::vector<int64_t>& region) {
  return std::any_of(region.begin(), region.end(), [&](int64_t i) {
    const int64_t r = i / set.width, c = i % set.width;
    return !set.has(r - 1, c) || !set.has(r + 1, c) || !set.has(r, c - 1) || !set.has(r, c + 1);
  });
}

// Regions of the inner part above a grey level.
std::vector<std::vector<int64_t>> regions_above(const Image& gray, const PixelSet& inner, double level) {
  PixelSet bright(gray.height, gray.width);
  for (size_t i = 0; i < gray.pixels.size(); ++i) bright.inside[i] = inner.inside[i] && gray.pixels[i] > level;
  std::vector<std::vector<int64_t>> regions;
  for (int64_t i = 0; i < gray.height * gray.width; ++i)
    if (bright.inside[static_cast<size_t>(i)]) regions.push_back(take_region(bright, i, true));
  return regions;
}

double lesion_diameter_mm(const Dataset& dataset, int64_t sample) {
  try {
    return dataset.lesion(sample).diameter_mm;
  } catch (const Error& e) {
    log_warning("no lesion size: ", e.what());
    return 0;
  }
}

}  // namespace

PictureFeatures measure_picture(const Image& slice) {
  const Image gray = to_gray(slice);
  const PixelSet head = head_of(gray);
  const double diameter = 2 * std::sqrt(static_cast<double>(head.count()) / std::numbers::pi);
  const PixelSet inner = eroded(head, static_cast<int64_t>(0.08 * diameter));
  std::array<double, 256> histogram{};
  double count = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < gray.pixels.size(); ++i) {
    if (!inner.inside[i]) continue;
    const double v = gray.pixels[i];
    ++histogram[gray.pixels[i]], ++count, sum += v, squares += v * v;
  }
  PictureFeatures f;
  if (count == 0) {
    f.mean_intensity = f.brightness = NAN;
    return f;
  }
  f.mean_intensity = sum / count;
  const double deviation = std::sqrt(std::max(0.0, squares / count - f.mean_intensity * f.mean_intensity));
  double above = 0;
  size_t level = histogram.size();
  while (level > 0 && above <= 0.01 * count) above += histogram[--level];
  f.brightness = static_cast<double>(level);

  for (const auto& region : regions_above(gray, inner, f.mean_intensity + 3 * deviation))
    f.bright_spots += region.size() >= 2 && static_cast<double>(region.size()) <= 0.002 * count;
  for (const auto& region : regions_above(gray, inner, f.mean_intensity + 2 * deviation))
    f.bright_at_border = f.bright_at_border || (static_cast<double>(region.size()) >= 0.005 * count && reaches_edge(inner, region));
  return f;
}

std::vector<AnalysedPicture> analysed_pictures(const Predictions& p, const Decision& decision, const Dataset& dataset,
                                               const Manifest& manifest, const std::vector<std::string>& units) {
  const std::vector<int32_t> decided = decision.classes(p.probabilities, p.classes);
  std::vector<AnalysedPicture> pictures(p.labels.size());
  parallel_for(static_cast<int64_t>(pictures.size()), [&](int64_t row) {
    const auto i = static_cast<size_t>(row);
    const Sample& sample = dataset.sample(p.samples[i]);
    const double* probabilities = p.probabilities.data() + row * p.classes;
    pictures[i] = {.file = sample.file,
                   .unit = units[i],
                   .label = p.labels[i],
                   .decided = decided[i],
                   .probabilities = {probabilities, probabilities + p.classes},
                   .diameter_mm = lesion_diameter_mm(dataset, p.samples[i]),
                   .features = measure_picture(dataset.image(p.samples[i])),
                   .columns = manifest.rows[static_cast<size_t>(sample.row)].extra};
  });
  return pictures;
}

namespace {

constexpr size_t worst_cases = 40, most_values = 8;
using Pictures = std::vector<const AnalysedPicture*>;

ErrorRate error_rate(const Pictures& wrong, size_t of) {
  std::set<std::string> units;
  for (const AnalysedPicture* p : wrong) units.insert(p->unit);
  return {.pictures = {static_cast<int64_t>(wrong.size()), static_cast<int64_t>(of)}, .units = static_cast<int64_t>(units.size())};
}

// The value that `share` of the sorted values lie below.
double quantile(const std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

// Under 5 mm, 5 to 10 mm, and the quartiles of the larger lesions (one bin where they are fewer than 8).
std::vector<DiameterBin> diameter_bins(const Pictures& measured, int64_t rare) {
  std::vector<double> large;
  for (const AnalysedPicture* p : measured)
    if (p->diameter_mm >= 10) large.push_back(p->diameter_mm);
  std::sort(large.begin(), large.end());
  std::vector<double> edges = {0, 5, 10};
  if (large.size() >= 8)
    for (const double share : {0.25, 0.5, 0.75})
      if (const double edge = quantile(large, share); edge > edges.back()) edges.push_back(edge);
  edges.push_back(large.empty() ? edges.back() : large.back());
  std::vector<DiameterBin> bins;
  for (size_t k = 0; k + 1 < edges.size(); ++k) {
    DiameterBin bin = {.low = edges[k], .high = edges[k + 1], .missed = {}};
    const bool last = k + 2 == edges.size();
    for (const AnalysedPicture* p : measured) {
      if (p->diameter_mm < bin.low || (!last && p->diameter_mm >= bin.high)) continue;
      ++bin.missed.of;
      bin.missed.count += p->decided != rare;
    }
    bins.push_back(bin);
  }
  return bins;
}

Trait trait_of(const std::string& name, const Pictures& false_positives, const Pictures& true_negatives,
               const std::function<bool(const AnalysedPicture&)>& is) {
  const auto share = [&](const Pictures& pictures) {
    return Share{std::count_if(pictures.begin(), pictures.end(), [&](const AnalysedPicture* p) { return is(*p); }),
                 static_cast<int64_t>(pictures.size())};
  };
  return {.name = name, .false_positives = share(false_positives), .true_negatives = share(true_negatives)};
}

std::vector<Trait> traits_of(const Pictures& false_positives, const Pictures& true_negatives, const std::vector<std::string>& columns) {
  std::vector<Trait> traits;
  if (false_positives.empty()) return traits;
  const auto add = [&](const std::string& name, const std::function<bool(const AnalysedPicture&)>& is) {
    traits.push_back(trait_of(name, false_positives, true_negatives, is));
  };
  // A number becomes a yes or no at the upper quartile of the true negatives: a quarter of those lie above.
  const auto add_number = [&](const std::string& name, const std::function<double(const AnalysedPicture&)>& value) {
    std::vector<double> usual;
    for (const AnalysedPicture* p : true_negatives)
      if (std::isfinite(value(*p))) usual.push_back(value(*p));
    if (usual.empty()) return;
    std::sort(usual.begin(), usual.end());
    const double level = quantile(usual, 0.75);
    add(concat(name, " above ", fixed(level, 0)), [&, level](const AnalysedPicture& p) { return value(p) > level; });
  };
  add_number("mean intensity", [](const AnalysedPicture& p) { return p.features.mean_intensity; });
  add_number("brightness", [](const AnalysedPicture& p) { return p.features.brightness; });
  add_number("bright spots", [](const AnalysedPicture& p) { return static_cast<double>(p.features.bright_spots); });
  add("bright region at the border", [](const AnalysedPicture& p) { return p.features.bright_at_border; });
  if (std::any_of(true_negatives.begin(), true_negatives.end(), [](const AnalysedPicture* p) { return p->diameter_mm > 0; }))
    add_number("lesion diameter (mm)", [](const AnalysedPicture& p) { return p.diameter_mm; });
  for (size_t c = 0; c < columns.size(); ++c) {
    std::set<std::string> values;
    for (const Pictures* all : {&false_positives, &true_negatives})
      for (const AnalysedPicture* p : *all) values.insert(p->columns[c]);
    if (values.size() < 2 || values.size() > most_values) continue;
    for (const std::string& v : values)
      add(concat(columns[c], " = ", v.empty() ? "(empty)" : v), [&](const AnalysedPicture& p) { return p.columns[c] == v; });
  }
  return traits;
}

}  // namespace

ErrorAnalysis analyse_errors(const std::vector<AnalysedPicture>& pictures, int64_t rare, const std::vector<std::string>& columns) {
  ErrorAnalysis a;
  a.rare = rare;
  Pictures positives, missed, false_positives, true_negatives, measured;
  for (const AnalysedPicture& p : pictures) {
    DURA_CHECK(p.columns.size() == columns.size(), "error analysis: ", p.file, " has ", p.columns.size(), " columns, expected ",
               columns.size());
    if (p.label == rare) {
      positives.push_back(&p);
      if (p.decided != rare) missed.push_back(&p);
      if (p.diameter_mm > 0) measured.push_back(&p);
    } else {
      (p.decided == rare ? false_positives : true_negatives).push_back(&p);
    }
    if (p.decided != p.label) a.worst.push_back(p);
  }
  a.errors = static_cast<int64_t>(a.worst.size());
  a.false_negatives = error_rate(missed, positives.size());
  a.false_positives = error_rate(false_positives, false_positives.size() + true_negatives.size());
  a.not_measured = static_cast<int64_t>(positives.size() - measured.size());
  for (const AnalysedPicture* p : measured) {
    const bool small = p->diameter_mm < 5, miss = p->decided != rare;
    a.under_5_mm.count += small, ++a.under_5_mm.of;
    a.missed_under_5_mm.count += small && miss, a.missed_under_5_mm.of += miss;
  }
  if (!measured.empty()) a.by_diameter = diameter_bins(measured, rare);
  a.traits = traits_of(false_positives, true_negatives, columns);
  const auto true_probability = [](const AnalysedPicture& p) { return p.probabilities[static_cast<size_t>(p.label)]; };
  std::stable_sort(a.worst.begin(), a.worst.end(),
                   [&](const AnalysedPicture& x, const AnalysedPicture& y) { return true_probability(x) < true_probability(y); });
  if (a.worst.size() > worst_cases) a.worst.resize(worst_cases);
  return a;
}

}  // namespace dura
