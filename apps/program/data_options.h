// The options by which programs name their data and vary it, and what they mean.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/program/option_set.h"
#include "data/set/augment.h"
#include "data/set/class_names.h"
#include "data/set/dataset.h"
#include "data/set/loader.h"
#include "engine/comm/communicator.h"
#include "models/network/model_file.h"
#include "weights/conventions.h"

namespace dura {

struct DataOptions {
  std::string folder, manifest, checked;
  std::vector<std::string> columns, classes;
  bool allow_leak = false;
  double allowed_bad_share = 0.01;
  int64_t cache_mib = -1;  // for decoded pictures of all splits together; -1: default_cache_bytes()

  void declare(OptionSet& options, bool required = true);
  // manifest.csv of the folder, or the file named by --manifest; a folder per class where there is neither.
  Manifest load() const;
  // Where it is remembered which pictures are good: --checked, or a hidden file of the data folder; empty where it is off.
  std::filesystem::path checked_file() const;
  // Patients and groups that are in two splits: an error unless allowed, else warnings.
  std::vector<std::string> allowed_leaks(const Manifest& manifest_with_splits, const SplitRows& rows) const;
};

// A manifest with its splits, checked: no patient or group in two splits unless allowed, every label among the classes.
struct DataSplits {
  Manifest manifest;
  ClassNames classes;
  SplitRows rows;
  std::string manifest_sha256;
  std::vector<std::string> allowed_leaks;                                // sentences; only with --allow-leak
  std::shared_ptr<uint64_t> cache_left = std::make_shared<uint64_t>(0);  // bytes for the splits that are not opened yet

  // By class: the pictures of the split; with `require_all`, Error where one has none.
  std::vector<int64_t> class_counts(Split split, bool require_all) const;
  // Throws where the split is empty, naming dura-prepare.
  void require(Split split, const DataOptions& options) const;
  // All ranks must do it together: each checks its part of the pictures, and decodes what it needs. The split may keep as many pictures as
  // the budget has left.
  std::unique_ptr<Dataset> open(Split split, const DataOptions& options, const PreprocessingOptions& preprocessing,
                                bool require_all_classes, Communicator& ranks = alone()) const;
};
// An eighth of the memory that a process can have, divided by the ranks on its host.
uint64_t default_cache_bytes(const Communicator& ranks);

// `model_classes`: of a trained model; used where --classes is not given, and to be matched in number and order where it is.
DataSplits open_splits(const DataOptions& options, const std::vector<std::string>& model_classes = {}, const Communicator& ranks = alone());

// The labels as they are spelt in these rows, in alphabetical order; none where there are no rows. Error where all rows have the same.
ClassNames classes_of_labels(const Manifest& manifest, const std::vector<int64_t>& rows);

// The class that --rare-class names, else the one with the fewest pictures (the first of these).
int32_t rare_class(const std::string& named, const std::vector<int64_t>& class_counts, const ClassNames& classes);

// --size, --denoise, --clahe, --clahe-tiles
void declare(OptionSet& options, PreprocessingOptions& preprocessing);
void declare(OptionSet& options, GivenConventions& conventions);

// How training images are varied, and how often a rare class is shown, as options of dura-train.
struct AugmentOptions {
  std::string preset = "none", rare = {};
  std::vector<std::string> per_class = {};  // "Menin=strong,rotation=30"
  double oversample = 0;                    // the rare class's share of an epoch; 0: every image once
  int64_t repeat = 0;                       // after so many epochs the augmentations come again; 0: never

  void declare(OptionSet& options);
  // One per class: what --augment gives it, changed by its --augment-class. UsageError naming the option, what was found and expected.
  std::vector<AugmentPolicy> policies(const std::vector<int64_t>& training_images, const ClassNames& classes) const;
  // Of a training epoch.
  std::vector<LoaderItem> items(const Dataset& training, const ClassNames& classes, uint64_t seed) const;
};

// "Menin rotation=20,hflip=0.5; Glioma none"
std::string describe(const std::vector<AugmentPolicy>& policies, const ClassNames& classes);

}  // namespace dura
