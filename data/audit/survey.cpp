#include "data/audit/survey.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>
#include <unordered_map>

#include "data/audit/disjoint_sets.h"
#include "data/image/lesion.h"
#include "engine/base/parallel.h"
#include "engine/base/shared_work.h"

namespace dura {
namespace {

// What is kept of one row's files.
struct RowSurvey {
  SliceSurvey slice;
  CheckedPicture picture;
  std::string mask_error;
  Fingerprint fingerprint;
};

using Histogram = std::array<uint64_t, 256>;

RowSurvey survey_row(const ManifestRow& row, const std::filesystem::path& folder, Histogram& histogram) {
  RowSurvey found;
  PictureCheck check = check_picture(folder, row.file);
  found.picture = std::move(check.picture);
  if (!found.picture.error.empty()) return found;
  found.slice.height = check.decoded.height, found.slice.width = check.decoded.width, found.slice.channels = check.decoded.channels;
  const Image image = to_gray(std::move(check.decoded));
  found.slice.statistics = picture_statistics(image);
  for (uint8_t v : image.pixels) ++histogram[v];
  found.fingerprint = fingerprint_of(image);
  if (row.mask.empty()) return found;
  try {
    found.slice.lesion =
        measure_lesion(read_mask_of(folder.string(), row.mask, row.file, found.slice.height, found.slice.width), row.mm_per_pixel);
  } catch (const Error& e) {
    found.mask_error = e.what();
  }
  return found;
}

// Everybody's rows in a row.
std::vector<RowSurvey> of_all(std::vector<RowSurvey> own, const SharedWork& shared) {
  if (shared.alone()) return own;
  struct Numbers {
    SliceSurvey slice;
    Fingerprint fingerprint;
  };
  const std::string mask_prefix = "mask: ";  // what is no error is not empty, either
  std::vector<Numbers> numbers;
  std::vector<CheckedPicture> texts;
  for (const RowSurvey& row : own) {
    numbers.push_back({row.slice, row.fingerprint});
    texts.push_back(row.picture);
    texts.push_back({.error = mask_prefix + row.mask_error});
  }
  numbers = shared.in_a_row(std::move(numbers));
  own.clear();
  for (const std::string& text : shared.gather(format_checked(texts))) {
    std::vector<CheckedPicture> pictures = parse_checked(text, "pictures looked at by another process");
    for (size_t i = 0; i + 1 < pictures.size(); i += 2) {
      const Numbers& n = numbers.at(own.size());
      own.push_back({n.slice, std::move(pictures[i]), pictures[i + 1].error.substr(mask_prefix.size()), n.fingerprint});
    }
  }
  return own;
}

// Grey levels of all pictures of each class go into `survey`. A chunk at a time, so that no row's are kept.
std::vector<RowSurvey> survey_rows(const Manifest& manifest, const ClassNames& classes, const std::vector<int64_t>& rows,
                                   const std::string& folder, const SharedWork& shared, DataSurvey& survey) {
  const Stretch own = shared.own(std::ssize(rows));
  std::vector<RowSurvey> found(static_cast<size_t>(own.size()));
  std::vector<uint64_t> levels(classes.names().size() * 256);
  for (int64_t first = own.begin; first < own.end; first += 1024) {
    std::vector<Histogram> histograms(static_cast<size_t>(std::min<int64_t>(1024, own.end - first)));
    const auto row = [&](int64_t i) -> const ManifestRow& {
      return manifest.rows[static_cast<size_t>(rows[static_cast<size_t>(first + i)])];
    };
    parallel_for(std::ssize(histograms), [&](int64_t i) {
      found[static_cast<size_t>(first - own.begin + i)] = survey_row(row(i), folder, histograms[static_cast<size_t>(i)]);
    });
    for (int64_t i = 0; i < std::ssize(histograms); ++i)
      for (size_t v = 0; v < 256; ++v)
        levels[static_cast<size_t>(*classes.find(row(i).label)) * 256 + v] += histograms[static_cast<size_t>(i)][v];
  }
  const std::vector<uint64_t> of_parts = shared.in_a_row(levels);
  for (size_t k = 0; k < of_parts.size(); ++k) survey.classes[k % levels.size() / 256].histogram[k % 256] += of_parts[k];
  return of_all(std::move(found), shared);
}

// One row per file: what is byte for byte the same need not be compared.
std::vector<NearCopy> similar_rows(const std::vector<int64_t>& rows, const std::vector<RowSurvey>& found, const NearCopyOptions& options) {
  std::set<std::string> seen;
  std::vector<int64_t> distinct;
  std::vector<Fingerprint> fingerprints;
  for (size_t i = 0; i < rows.size(); ++i)
    if (found[i].picture.error.empty() && seen.insert(found[i].picture.sha256).second)
      distinct.push_back(rows[i]), fingerprints.push_back(found[i].fingerprint);
  std::vector<NearCopy> similar = find_near_copies(fingerprints, options);
  for (NearCopy& pair : similar)
    for (int64_t* row : {&pair.first, &pair.second}) *row = distinct[static_cast<size_t>(*row)];
  return similar;
}

}  // namespace

double ClassSurvey::mean_level() const {
  double sum = 0, count = 0;
  for (size_t v = 0; v < 256; ++v)
    sum += static_cast<double>(v) * static_cast<double>(histogram[v]), count += static_cast<double>(histogram[v]);
  return count > 0 ? sum / count : 0;
}

double ClassSurvey::level_deviation() const {
  const double mean = mean_level();
  double sum = 0, count = 0;
  for (size_t v = 0; v < 256; ++v) {
    const double d = static_cast<double>(v) - mean;
    sum += d * d * static_cast<double>(histogram[v]), count += static_cast<double>(histogram[v]);
  }
  return count > 0 ? std::sqrt(sum / count) : 0;
}

int ClassSurvey::level_percentile(double share) const {
  const double wanted = share * static_cast<double>(std::accumulate(histogram.begin(), histogram.end(), uint64_t{0}));
  uint64_t below = 0;
  for (int v = 0; v < 256; ++v)
    if (static_cast<double>(below += histogram[static_cast<size_t>(v)]) >= wanted) return v;
  return 255;
}

void DataSurvey::recount(const Manifest& manifest, const ClassNames& classes_of_manifest) {
  std::vector<std::array<std::set<std::string>, 3>> patients(classes.size());
  for (ClassSurvey& c : classes) c.slices = {}, c.left_out = 0;
  left_out.clear();
  for (size_t i = 0; i < manifest.rows.size(); ++i) {
    const ManifestRow& row = manifest.rows[i];
    const std::optional<int32_t> label = classes_of_manifest.find(row.label);
    if (!label || std::binary_search(bad_rows.begin(), bad_rows.end(), static_cast<int64_t>(i))) continue;
    ClassSurvey& c = classes[static_cast<size_t>(*label)];
    if (const std::optional<Split> split = parse_split(row.split)) {
      ++c.slices[static_cast<size_t>(*split)];
      if (!row.patient.empty()) patients[static_cast<size_t>(*label)][static_cast<size_t>(*split)].insert(row.patient);
    } else {
      ++c.left_out;
      ++left_out[row.split];
    }
  }
  for (size_t c = 0; c < classes.size(); ++c)
    for (size_t s = 0; s < 3; ++s) classes[c].patients[s] = static_cast<int64_t>(patients[c][s].size());
}

void check_bad_files(const DataSurvey& survey, double allowed_share) {
  const double share = static_cast<double>(survey.bad.size()) / static_cast<double>(std::max<int64_t>(1, survey.slices));
  DURA_CHECK(share <= allowed_share, survey.bad.size(), " files of ", survey.slices, " slices cannot be used, more than --allow-bad ",
             allowed_share, ". Repair or remove them. The first: ", survey.bad.front().reason);
}

int64_t group_copies(Manifest& manifest, const DataSurvey& survey) {
  DisjointSets sets(manifest.rows.size());
  std::unordered_map<std::string, size_t> first_of_group;
  for (size_t i = 0; i < manifest.rows.size(); ++i)
    if (const std::string& group = manifest.rows[i].group; !group.empty()) sets.join(i, first_of_group.emplace(group, i).first->second);
  for (const std::vector<int64_t>& same : survey.copies)
    for (int64_t row : same) sets.join(static_cast<size_t>(row), static_cast<size_t>(same.front()));
  for (const NearCopy& pair : survey.similar) sets.join(static_cast<size_t>(pair.first), static_cast<size_t>(pair.second));

  std::unordered_map<size_t, std::vector<size_t>> members;
  for (size_t i = 0; i < manifest.rows.size(); ++i) members[sets.find(i)].push_back(i);
  int64_t changed = 0;
  for (const auto& [root, rows] : members) {
    if (rows.size() < 2) continue;
    std::string name;
    for (size_t row : rows)
      if (const std::string& group = manifest.rows[row].group; !group.empty() && (name.empty() || group < name)) name = group;
    if (name.empty()) name = concat("copies of ", manifest.rows[rows.front()].file);
    for (size_t row : rows)
      if (manifest.rows[row].group != name) manifest.rows[row].group = name, ++changed;
  }
  return changed;
}

DataSurvey survey_data(const Manifest& manifest, const ClassNames& classes, const std::string& folder, const NearCopyOptions& options) {
  DataSurvey survey;
  for (const std::string& name : classes.names()) survey.classes.push_back({.name = name});
  std::vector<int64_t> rows;
  for (size_t i = 0; i < manifest.rows.size(); ++i) {
    if (classes.find(manifest.rows[i].label))
      rows.push_back(static_cast<int64_t>(i));
    else
      ++survey.other_labels[manifest.rows[i].label];
  }
  std::vector<RowSurvey> found = survey_rows(manifest, classes, rows, folder, options.shared, survey);

  survey.slices = static_cast<int64_t>(rows.size());
  std::map<std::string, std::vector<int64_t>> by_digest;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ManifestRow& row = manifest.rows[static_cast<size_t>(rows[i])];
    const size_t label = static_cast<size_t>(*classes.find(row.label));
    const RowSurvey& f = found[i];
    if (!f.picture.sha256.empty()) by_digest[f.picture.sha256].push_back(rows[i]);
    if (!f.mask_error.empty()) survey.bad.push_back({row.mask, f.mask_error});
    survey.checked.push_back(f.picture);
    if (!f.picture.error.empty()) {
      survey.bad.push_back({row.file, f.picture.error});
      survey.bad_rows.push_back(rows[i]);
      continue;
    }
    ClassSurvey& c = survey.classes[label];
    survey.readable.push_back(f.slice);
    survey.readable.back().row = rows[i];
    ++survey.extents[{f.slice.height, f.slice.width}];
    if (!f.slice.lesion) continue;
    const LesionSize& lesion = *f.slice.lesion;
    ++c.masks;
    c.empty_masks += lesion.pixels == 0;
    if (lesion.area_mm2 == 0) continue;
    c.lesion_mm.push_back(lesion.diameter_mm);
    c.lesion_extent_mm.push_back(lesion.extent_mm);
    c.lesion_mm2.push_back(lesion.area_mm2);
  }
  for (ClassSurvey& c : survey.classes)
    for (std::vector<double>* sizes : {&c.lesion_mm, &c.lesion_extent_mm, &c.lesion_mm2}) std::sort(sizes->begin(), sizes->end());
  for (auto& [digest, same] : by_digest)
    if (same.size() > 1) survey.copies.push_back(std::move(same));
  std::sort(survey.copies.begin(), survey.copies.end());
  survey.similar = similar_rows(rows, found, options);
  survey.recount(manifest, classes);
  return survey;
}

}  // namespace dura
