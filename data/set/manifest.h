// The list of a data set's slices: which file, which class, which split, whose patient. A CSV file (csv.h) with the columns
//   file, label, split, group, patient, mask, mm_per_pixel      only `file` and `label` are required
// Paths are relative to the data folder, with '/', and never lead out of it. Columns that dura does not know are kept, in their order.
// Invariant of every Manifest made here: at least one row, no file twice, no path outside, every label filled.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/set/class_names.h"

namespace dura {

enum class Split : uint8_t { train, val, test };
inline constexpr std::array<Split, 3> all_splits = {Split::train, Split::val, Split::test};
const char* split_name(Split split);
std::optional<Split> parse_split(const std::string& name);  // "train", "val" or "test", nothing else

struct ManifestRow {
  std::string file = {}, label = {}, split = {}, group = {}, patient = {}, mask = {};  // empty: not known
  double mm_per_pixel = 0;                                                             // 0: not known
  std::vector<std::string> extra = {};                                                 // one per unknown column
  int64_t line = 0;                                                                    // in the file it was read from; 0 otherwise
};

struct Manifest {
  std::string name;                  // the file's, for messages
  std::vector<std::string> columns;  // of the file, in order, unknown ones included
  std::vector<ManifestRow> rows;

  std::vector<std::string> extra_columns() const;  // in the order of ManifestRow::extra
  // The value of any column, known or not, as text. Throws UsageError for a column that is not there.
  std::string value(const ManifestRow& row, const std::string& column) const;
  // Fills a column that dura does not know, adding it at the end where it is new; one value per row.
  void set_extra_column(const std::string& column, const std::vector<std::string>& values);
};

// `rename` entries such as "label=class" say that dura's column `label` is called `class` in the file.
// Errors give the line: a missing or doubled column, an empty file or label field, a duplicate file, a path that is absolute or leads
// outside, mm_per_pixel that is not a positive number, no rows.
Manifest read_manifest(const std::string& path, const std::vector<std::string>& rename = {});
Manifest parse_manifest(const std::string& text, const std::string& name, const std::vector<std::string>& rename = {});

// Columns in the order they were read; a known column that was not there but has values now is added.
std::string format_manifest(const Manifest& manifest);
void write_manifest(const std::string& path, const Manifest& manifest);  // beside, synced, renamed

// What a row's `split` makes of it. Rows with another value than train, val or test are left out and counted by that value.
struct SplitRows {
  std::array<std::vector<int64_t>, 3> rows;  // indices into Manifest::rows, by Split
  std::map<std::string, int64_t> left_out;   // value of the column -> rows
  const std::vector<int64_t>& operator[](Split split) const { return rows[static_cast<size_t>(split)]; }
};
SplitRows rows_by_split(const Manifest& manifest);

// The class of each of `rows`. Throws, with the line and how many rows are concerned, where a label is not among the classes, and where
// `require_all` is set and some class has no row (one class only: nothing could be learnt, nothing measured).
std::vector<int32_t> class_indices(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, bool require_all);

// One sentence for each patient or group that has rows in two splits; empty where there is no leak.
std::vector<std::string> find_leaks(const Manifest& manifest, const SplitRows& splits);
// Throws where find_leaks finds any: scores on slices of patients that were trained on say nothing about new patients.
void check_no_leak(const Manifest& manifest, const SplitRows& splits);

// A manifest from folders: one folder per class, with PNG and JPEG files at any depth inside of it.
struct FolderScan {
  Manifest manifest;        // rows in the order of their paths, bytewise
  int64_t other_files = 0;  // files that are no PNG or JPEG by their name
};

// Understood layouts, where CLASS is the label as the folder spells it:
//   DIR/CLASS/...            DIR/SPLIT/CLASS/...  (train or Training, val, valid or Validation, test or Testing)
//   DIR/images/CLASS/... with DIR/masks/CLASS/... : a mask has the path of its slice, with the extension png (or that of the slice)
// Hidden files and folders are passed over and links to folders are not followed. Throws where DIR is missing, is no folder, or holds no
// picture.
FolderScan scan_folder(const std::string& folder);

}  // namespace dura
