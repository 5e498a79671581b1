#include "apps/study/cross_validation.h"

#include "data/audit/split.h"
#include "engine/base/check.h"

namespace dura {
namespace {

// Part after part is split off from what is left, so that each has its share of
// every class.
std::vector<std::vector<int64_t>> deal(const Manifest& manifest, std::vector<int64_t> rows, const ClassNames& classes, int64_t folds,
                                       uint64_t seed) {
  std::vector<std::vector<int64_t>> parts;
  Manifest dealt = manifest;
  for (int64_t left = folds; left > 1; --left) {
    assign_splits(dealt, rows, classes, {.seed = seed, .test = 1.0 / static_cast<double>(left)});
    std::vector<int64_t> part, rest;
    for (const int64_t row : rows) (dealt.rows[static_cast<size_t>(row)].split == "test" ? part : rest).push_back(row);
    parts.push_back(part);
    rows = rest;
  }
  parts.push_back(rows);
  return parts;
}

}  // namespace

std::vector<Manifest> fold_manifests(const Manifest& manifest, const std::vector<int64_t>& rows, const ClassNames& classes, int64_t folds,
                                     uint64_t seed) {
  if (folds < 3) fail_usage("--folds ", folds, ": at least 3 are needed, for training, validation and test");
  const std::vector<std::vector<int64_t>> parts = deal(manifest, rows, classes, folds, seed);
  std::vector<Manifest> all;
  for (size_t f = 0; f < parts.size(); ++f) {
    Manifest m = manifest;
    for (ManifestRow& row : m.rows) row.split = "held_out";
    for (size_t p = 0; p < parts.size(); ++p)
      for (const int64_t row : parts[p])
        m.rows[static_cast<size_t>(row)].split = p == f ? "test" : p == (f + 1) % parts.size() ? "val" : "train";
    all.push_back(std::move(m));
  }
  return all;
}

}  // namespace dura
