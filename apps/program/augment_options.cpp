#include "apps/program/augment_options.h"

#include <set>

#include "apps/program/data_options.h"
#include "engine/base/log.h"

namespace dura {

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
