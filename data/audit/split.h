// Dividing slices into training, validation and test set. What belongs together (one patient, one group of copies) is never divided; under
// that constraint every class, and every class within each value of the balanced columns, is divided in the wanted shares as nearly as
// possible. A class that hides behind a plane of section or a hospital would be learnt as that plane or hospital: hence the further
// columns.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/set/manifest.h"

namespace dura {

struct SplitOptions {
  uint64_t seed = 0;
  double test = 0.2;                      // share of the rows
  double val = 0.0;                       // share of the rows that are not test
  std::vector<std::string> balance = {};  // columns of the manifest; of numbers with many values the quartiles (shortcut.h)
  int restarts = 32;
};

// What one stratum got: all rows of a class, or those with one value of a balanced column.
struct StratumReport {
  std::string name;                // "Menin" or "Menin, plane=ax"
  std::string column = {};         // "plane"; empty for a class
  std::array<int64_t, 3> rows{};   // by Split
  std::array<double, 3> wanted{};  // shares times the stratum's rows
};

struct SplitReport {
  int64_t units = 0;                  // patients, groups and single slices that were dealt out
  std::vector<StratumReport> strata;  // classes first
  // Largest |rows - wanted| of a class in a split, as a share of the class.
  double largest_class_deviation = 0;
};

// Writes train, val or test into the `split` of `rows` (indices into the manifest, each with a label among the classes). The result depends
// on the seed and the rows, not on their order in the file. Rows that share a patient or a group, directly or through others, stay
// together.
//
// Units in shuffled order, largest first, each to the split where it lowers the sum over strata of squared deviation / wanted most; then
// single moves and exchanges while they help; the best of several starts. (Minimising over all divisions is a bin-packing problem.) Throws
// UsageError for shares outside of [0,1) and Error where a class has fewer units than there are splits to fill.
SplitReport assign_splits(Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, const SplitOptions& options);

}  // namespace dura
