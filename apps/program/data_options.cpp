#include "apps/program/data_options.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "engine/base/text.h"

namespace dura {

void DataOptions::declare(OptionSet& options, bool required) {
  options.heading("Data");
  options.text("--data", folder, "Folder with the pictures; paths of the manifest are relative to it", {.required = required});
  options.text("--manifest", manifest, "CSV with file, label, split and more (default: manifest.csv in the folder; see dura-prepare)");
  options.list("--column", columns, "Other column names of the manifest: label=class");
  options.list("--classes", classes, "Classes in order, with aliases: Menin=meningioma Glioma (default: the labels in alphabetical order)");
  options.flag("--allow-leak", allow_leak, "Go on although a patient or group is in two splits");
  options.number("--allow-bad", allowed_bad_share, "Share of pictures that may be unreadable; they are named, counted and left out",
                 {.min = 0, .max = 1});
  options.text("--checked", checked,
               "File that remembers which pictures are good, so that they are not all decoded again at the start (default: "
               ".checked_pictures.csv in the data folder); off: nothing is remembered");
  options.integer("--cache-budget", cache_mib, "MiB for decoded pictures; 0: each is decoded again each time; -1: an eighth of the memory",
                  {.min = -1, .max = 1 << 24});
}

std::filesystem::path DataOptions::checked_file() const {
  if (checked == "off") return {};
  return checked.empty() ? std::filesystem::path(folder) / ".checked_pictures.csv" : std::filesystem::path(checked);
}

Manifest DataOptions::load() const {
  const std::string beside = (std::filesystem::path(folder) / "manifest.csv").string();
  if (!manifest.empty()) return read_manifest(manifest, columns);
  if (std::filesystem::exists(beside)) return read_manifest(beside, columns);
  FolderScan scan = scan_folder(folder);
  log_info("found ", scan.manifest.rows.size(), " pictures in ", folder, ", ", scan.other_files, " other files");
  return std::move(scan.manifest);
}

std::vector<std::string> DataOptions::allowed_leaks(const Manifest& manifest_with_splits, const SplitRows& rows) const {
  if (!allow_leak) {
    check_no_leak(manifest_with_splits, rows);
    return {};
  }
  const std::vector<std::string> leaks = find_leaks(manifest_with_splits, rows);
  for (const std::string& leak : leaks) log_warning("leak allowed: ", leak);
  return leaks;
}

uint64_t default_cache_bytes(const Communicator& ranks) {
  const uint64_t memory = device_memory_bytes(Device::cpu);
  return memory == 0 ? DatasetOptions{}.cache_bytes : memory / 8 / static_cast<uint64_t>(ranks.ranks_on_own_host());
}

DataSplits open_splits(const DataOptions& options, const std::vector<std::string>& model_classes, const Communicator& ranks) {
  DataSplits data;
  *data.cache_left = options.cache_mib < 0 ? default_cache_bytes(ranks) : static_cast<uint64_t>(options.cache_mib) << 20;
  data.manifest = options.load();
  data.rows = rows_by_split(data.manifest);
  for (const auto& [value, count] : data.rows.left_out)
    log_info(data.manifest.name, ": ", count, " rows with split '", value, "' are left out");
  if (!options.classes.empty()) {
    data.classes = ClassNames(options.classes);
  } else if (!model_classes.empty()) {
    data.classes = ClassNames(model_classes);
  } else {
    std::vector<int64_t> all;
    for (const auto& rows : data.rows.rows) all.insert(all.end(), rows.begin(), rows.end());
    data.classes = classes_of_labels(data.manifest, all);
  }
  if (!model_classes.empty() && data.classes.names() != model_classes) {
    fail_usage("the model was trained for the classes ", joined(model_classes, ", "), " in this order, --classes says ",
               data.classes.list(), ". Name the model's classes, with aliases where labels differ.");
  }
  data.allowed_leaks = options.allowed_leaks(data.manifest, data.rows);
  data.manifest_sha256 = sha256_hex(format_manifest(data.manifest));
  return data;
}

ClassNames classes_of_labels(const Manifest& manifest, const std::vector<int64_t>& rows) {
  std::set<std::string> labels;
  for (const int64_t row : rows) labels.insert(manifest.rows[static_cast<size_t>(row)].label);
  DURA_CHECK(labels.size() != 1, manifest.name, ": there is one class only, '", *labels.begin(), "'. At least two are needed.");
  return labels.empty() ? ClassNames() : ClassNames({labels.begin(), labels.end()});
}

int32_t rare_class(const std::string& named, const std::vector<int64_t>& class_counts, const ClassNames& classes) {
  if (named.empty()) return static_cast<int32_t>(std::min_element(class_counts.begin(), class_counts.end()) - class_counts.begin());
  const std::optional<int32_t> found = classes.find(named);
  if (!found) fail_usage("--rare-class ", named, ": the classes are ", classes.list());
  return *found;
}

std::vector<int64_t> DataSplits::class_counts(Split split, bool require_all) const {
  std::vector<int64_t> counts(static_cast<size_t>(classes.size()));
  for (const int32_t c : class_indices(manifest, rows[split], classes, require_all)) ++counts[static_cast<size_t>(c)];
  return counts;
}

void DataSplits::require(Split split, const DataOptions& options) const {
  DURA_CHECK(!rows[split].empty(), manifest.name, " has no rows in the split '", split_name(split), "'. dura-prepare ", options.folder,
             " --split new --out manifest.csv divides the pictures into train, val and test.");
}

std::unique_ptr<Dataset> DataSplits::open(Split split, const DataOptions& options, const PreprocessingOptions& preprocessing,
                                          bool require_all_classes, Communicator& ranks) const {
  require(split, options);
  auto dataset = std::make_unique<Dataset>(manifest, rows[split], classes, preprocessing.steps(),
                                           DatasetOptions{.folder = options.folder,
                                                          .require_all_classes = require_all_classes,
                                                          .allowed_bad_share = options.allowed_bad_share,
                                                          .cache_bytes = *cache_left,
                                                          .checked = options.checked_file(),
                                                          .shared = ranks.work()});
  *cache_left -= dataset->cache_limit();
  return dataset;
}

void declare(OptionSet& options, PreprocessingOptions& o) {
  options.integer("--size", o.size, "Height and width that pictures are resized to", {.min = 32, .max = 2048});
  options.text("--denoise", o.denoise, "Noise removal: a median of 3x3 or 5x5 pixels, or only of pixels that are salt or pepper",
               {.choices = PreprocessingOptions::denoisers()});
  options.number("--clahe", o.clahe, "Clip limit of the adaptive histogram equalisation (CLAHE), 2 is usual; 0: none",
                 {.min = 0, .max = 1000});
  options.integer("--clahe-tiles", o.clahe_tiles, "Tiles of CLAHE in either direction", {.min = 1, .max = 256});
}

void declare(OptionSet& options, GivenConventions& given) {
  options.text("--input", given.input, "What the weights expect: torch (RGB, mean and deviation), caffe or keras (BGR, mean)",
               {.choices = GivenConventions::choices("dura.input")});
  options.text("--variant", given.variant, "Where bottleneck blocks have their stride",
               {.choices = GivenConventions::choices("dura.variant")});
  options.text("--stem-pool", given.stem_pool, "Pooling of the stem", {.choices = GivenConventions::choices("dura.stem_pool")});
}

void AugmentOptions::declare(OptionSet& options) {
  options.text("--augment", preset, "mission: strong for the rare class, light for the others; strong, light: the same for all",
               {.choices = {"none", "mission", "strong", "light"}});
  options.list("--augment-class", per_class,
               "Changes to that, by class: Menin=rotation=30,zoom=0.8:1.2 or Glioma=none. Names: rotation, hflip, vflip, shift, zoom, "
               "zoom_axes, sharpness, sharpness_p, brightness, contrast; a set (none, light, strong) may come first");
  options.text("--rare-class", rare, "The class that mission and --oversample are for (default: the one with the fewest training images)");
  options.number("--oversample", oversample,
                 "Share of each epoch that the rare class is brought up to by further augmented versions of its images; 0: none",
                 {.min = 0, .max = 0.95});
  options.integer("--augment-repeat", repeat,
                  "After so many epochs the same augmentations come again, and the features of what is frozen are computed once for each "
                  "(--feature-budget): much faster epochs where a stage or more is frozen; 0: never",
                  {.min = 0, .max = 1000});
}

std::vector<AugmentPolicy> AugmentOptions::policies(const std::vector<int64_t>& training_images, const ClassNames& classes) const {
  const auto rare_index = static_cast<size_t>(rare_class(rare, training_images, classes));
  const AugmentPolicy usual = preset == "none" ? AugmentPolicy{} : preset == "strong" ? strong_augmentation() : light_augmentation();
  std::vector<AugmentPolicy> all(training_images.size(), usual);
  if (preset == "mission") all[rare_index] = strong_augmentation();
  std::set<int32_t> given;
  for (const std::string& entry : per_class) {
    const std::string who = "--augment-class " + entry;
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) fail_usage(who, ": write CLASS=NAME=VALUE,..., as in ", classes[0], "=rotation=30,zoom=0.8:1.2");
    const std::optional<int32_t> index = classes.find(entry.substr(0, equals));
    if (!index) fail_usage(who, ": there is no class '", entry.substr(0, equals), "'. The classes are ", classes.list(), ".");
    if (!given.insert(*index).second) fail_usage(who, ": ", classes[*index], " is given twice. Write all of a class in one, with commas.");
    AugmentPolicy& policy = all[static_cast<size_t>(*index)];
    policy = parse_augment_policy(entry.substr(equals + 1), policy, who);
  }
  return all;
}

std::vector<LoaderItem> AugmentOptions::items(const Dataset& training, const ClassNames& classes, uint64_t seed) const {
  const int32_t label = rare_class(rare, training.class_counts(), classes);
  std::vector<LoaderItem> all = oversampled_items(training, label, oversample, seed);
  if (oversample == 0) return all;
  const auto added = static_cast<int64_t>(all.size()) - training.size(), once = training.class_counts()[static_cast<size_t>(label)];
  log_info("oversampling: an epoch shows ", once + added, " versions of the ", once, " images of ", classes[label], ", ",
           100 * (once + added) / static_cast<int64_t>(all.size()), " % of its ", all.size());
  if (added > 0 && policies(training.class_counts(), classes)[static_cast<size_t>(label)].changes_nothing())
    log_warning("--oversample repeats the images of ", classes[label], " unchanged. Vary them with --augment or --augment-class.");
  return all;
}

std::string describe(const std::vector<AugmentPolicy>& policies, const ClassNames& classes) {
  std::string text;
  for (size_t c = 0; c < policies.size(); ++c)
    text += concat(c == 0 ? "" : "; ", classes[static_cast<int64_t>(c)], " ", describe(policies[c]));
  return text;
}

}  // namespace dura
