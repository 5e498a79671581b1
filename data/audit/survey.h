// What a data set consists of, before anything is learnt from it: slices and patients per class and split, sizes, grey levels, lesion
// sizes, files that cannot be used, files that are copies of each other.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/set/dataset.h"
#include "data/audit/leak_audit.h"
#include "data/set/manifest.h"
#include "data/audit/picture_statistics.h"

namespace dura {

struct ClassSurvey {
  std::string name;
  std::array<int64_t, 3> slices{}, patients{};  // by Split; patients: distinct values of that column
  int64_t left_out = 0;                         // slices with another value in `split`
  std::array<uint64_t, 256> histogram{};        // grey levels of all its slices, left out ones included
  // Of masks whose pixel size is known, each ascending: equivalent diameters, largest extents, areas.
  std::vector<double> lesion_mm = {}, lesion_extent_mm = {}, lesion_mm2 = {};
  int64_t masks = 0, empty_masks = 0;

  double mean_level() const;
  double level_deviation() const;
  int level_percentile(double share) const;  // smallest level with at least this share of the pixels at or below it
};

// One slice that could be read.
struct SliceSurvey {
  int64_t row = 0;  // of the manifest
  int64_t height = 0, width = 0, channels = 0;
  PictureStatistics statistics{};
  std::optional<LesionSize> lesion = {};  // where it has a mask that can be read
};

struct DataSurvey {
  std::vector<ClassSurvey> classes;                        // in class order
  std::map<std::string, int64_t> left_out;                 // value of `split` -> rows of the classes
  std::map<std::string, int64_t> other_labels;             // label that is none of the classes -> rows, which are not looked at
  std::map<std::pair<int64_t, int64_t>, int64_t> extents;  // (height, width) -> slices
  std::vector<BadImage> bad;                               // slices and masks that cannot be used
  std::vector<int64_t> bad_rows;                           // of the slices among them, ascending
  std::vector<std::vector<int64_t>> copies;                // rows whose files are byte for byte the same, by first row
  std::vector<NearCopy> similar;                           // rows, one per file; mirrored, turned or changed copies
  int64_t slices = 0;                                      // read, bad ones included
  std::vector<SliceSurvey> readable;                       // by row
  std::vector<CheckedPicture> checked;                     // of all slices

  // Counts slices, patients and left_out again after `split` has changed; everything else does not depend on it.
  void recount(const Manifest& manifest, const ClassNames& classes_of_manifest);
};

// Error where more than this share of the slices has a file that cannot be used.
void check_bad_files(const DataSurvey& survey, double allowed_share);

// Copies must not be divided: rows of `copies` and `similar` share a group from here on, and so does everything that shared one with them.
// Their groups' first name in alphabetical order stays, "copies of FILE" where they had none. Returns the number of rows whose group is
// new.
int64_t group_copies(Manifest& manifest, const DataSurvey& survey);

// Reads every slice and mask of the classes once, on all threads; where several processes share the work (options), each reads its part,
// and all get the same survey. `manifest` is left as it is.
DataSurvey survey_data(const Manifest& manifest, const ClassNames& classes, const std::string& folder, const NearCopyOptions& options = {});

}  // namespace dura
