#include "data/set/class_names.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace dura {
namespace {

// "NAME = ALIAS" as its parts, without the spaces around them.
std::vector<std::string> parts_of(const std::string& entry) {
  std::vector<std::string> parts = split_at(entry, '=');
  std::transform(parts.begin(), parts.end(), parts.begin(), trimmed);
  return parts;
}

}  // namespace

ClassNames::ClassNames(const std::vector<std::string>& entries) {
  if (entries.size() < 2) fail_usage("at least two classes must be named, ", entries.size(), " given. Example: Menin=meningioma,Glioma");
  for (const std::string& entry : entries) {
    const std::vector<std::string> parts = parts_of(entry);
    const int32_t index = static_cast<int32_t>(names_.size());
    for (const std::string& part : parts) {
      if (part.empty()) fail_usage("the class '", entry, "' has an empty name. Write NAME or NAME=ALIAS.");
      const std::optional<int32_t> other = find(part);
      if (other && *other != index) fail_usage("'", part, "' stands for two classes, ", names_[*other], " and ", parts[0]);
      aliases_.emplace(lower_case(part), index);
      if (names_.size() == static_cast<size_t>(index)) names_.push_back(part);
    }
  }
}

std::optional<int32_t> ClassNames::find(const std::string& label) const {
  const auto found = aliases_.find(lower_case(trimmed(label)));
  if (found == aliases_.end()) return std::nullopt;
  return found->second;
}

std::string ClassNames::list() const { return joined(names_, ", "); }

std::vector<double> ClassNames::weights(const std::vector<std::string>& entries) const {
  std::vector<double> values(names_.size(), 1.0);
  std::vector<bool> given(names_.size(), false);
  for (const std::string& entry : entries) {
    const std::vector<std::string> parts = parts_of(entry);
    if (parts.size() != 2) fail_usage("class weight '", entry, "': write CLASS=WEIGHT, for example ", names_[0], "=4");
    const std::optional<int32_t> index = find(parts[0]);
    if (!index) fail_usage("class weight '", entry, "': there is no class '", parts[0], "'. The classes are ", list(), ".");
    if (given[*index]) fail_usage("class weight '", entry, "': ", names_[*index], " has a weight already");
    const double value = parse_number(parts[1]).value_or(0);
    if (value <= 0) fail_usage("class weight '", entry, "': '", parts[1], "' is not a positive number");
    values[*index] = value;
    given[*index] = true;
  }
  return values;
}

}  // namespace dura
